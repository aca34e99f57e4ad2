"""A member that is larger than what a tar's octal size can say, as the images of a bundle may be."""

from __future__ import annotations

import io
import itertools
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from synapse_bundle.archive import tar_writer
from synapse_bundle.archive.members import Member, MemberKind

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNK = bytes(64 << 20)
CHUNKS = 140


class SparseFile(io.FileIO):
    """A file in which a chunk takes no room."""

    def write(self, content: Buffer) -> int:
        """Leave a hole in place of a chunk."""
        if content is not CHUNK:
            return super().write(content)
        self.seek(len(CHUNK), io.SEEK_CUR)
        return len(CHUNK)


def test_a_member_above_eight_gigabytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size is whole, and what follows it is found, by Python and by the `tar` of any machine."""
    # The digest of so much would take longer than the whole test.
    cheap = SimpleNamespace(update=len, hexdigest=lambda: "digest")
    monkeypatch.setattr(tar_writer, "hashlib", SimpleNamespace(sha256=lambda: cheap))
    path, size = tmp_path / "bundle.tar", CHUNKS * len(CHUNK)
    with SparseFile(path, "w+") as file:
        writer = tar_writer.TarWriter(file)
        large = Member(name="images.tar", kind=MemberKind.FILE, mode=0o600)
        assert writer.add(large, itertools.repeat(CHUNK, CHUNKS)).size == size > 8 << 30
        writer.add(Member(name="after", kind=MemberKind.FILE, mode=0o600), [b"what follows"])
        writer.close()
    assert path.stat().st_blocks * 512 < 1 << 20
    with tarfile.open(path) as tar:
        assert [(each.name, each.size) for each in tar] == [("images.tar", size), ("after", 12)]
        after = tar.extractfile("after")
        assert after
        assert after.read() == b"what follows"
    listed = subprocess.run(
        ["tar", "--list", "--verbose", f"--file={path}"], check=True, capture_output=True, text=True
    )
    assert [line.split()[2] for line in listed.stdout.splitlines()] == [str(size), "12"]
