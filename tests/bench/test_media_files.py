"""The files that stand for people's photographs."""

from __future__ import annotations

import zlib
from pathlib import Path

from tests.bench.media_files import LARGEST, write

SIZE = 1_000_000


def read(store: Path) -> dict[str, bytes]:
    """Return every file by its place."""
    files = (path for path in store.rglob("*") if path.is_file())
    return {str(path.relative_to(store)): path.read_bytes() for path in files}


def test_same_numbers_same_files(tmp_path: Path) -> None:
    """Two machines measure the same bytes, and a later part of them is not an earlier one again."""
    last = write(tmp_path / "one", first=0, size=SIZE)
    write(tmp_path / "two", first=0, size=SIZE)
    assert read(tmp_path / "one") == read(tmp_path / "two")
    write(tmp_path / "later", first=last, size=SIZE)
    assert not read(tmp_path / "one").keys() & read(tmp_path / "later").keys()


def test_as_many_bytes_as_wanted_that_do_not_compress(tmp_path: Path) -> None:
    """So little is left to a program that compresses as of photographs."""
    write(tmp_path, first=0, size=SIZE)
    content = b"".join(read(tmp_path).values())
    assert SIZE <= len(content) < SIZE + 2 * LARGEST
    assert len(zlib.compress(content)) > 0.99 * len(content)
