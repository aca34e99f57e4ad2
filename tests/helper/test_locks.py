"""A lock keeps others out until its holder ends it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundle_helper import locks


def test_a_held_directory_is_refused_to_others_until_it_is_free(tmp_path: Path) -> None:
    """One that does not wait learns at once."""
    with (
        locks.lock_directory(tmp_path),
        pytest.raises(BlockingIOError),
        locks.lock_directory(tmp_path, wait=False),
    ):
        pass
    with locks.lock_directory(tmp_path, wait=False):
        pass


def test_what_a_killed_writer_left_is_taken_over(tmp_path: Path) -> None:
    """The file is opened empty, whatever its content and mode were."""
    file = tmp_path / "file"
    file.write_text("half of it")
    file.chmod(0o400)
    with locks.open_locked(file) as descriptor:
        assert os.fstat(descriptor).st_size == 0


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nothing outside the directory is ever opened for writing."""
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="symbolic"), locks.open_locked(tmp_path / "link"):
        pass
    assert (tmp_path / "target").read_text() == "precious"
