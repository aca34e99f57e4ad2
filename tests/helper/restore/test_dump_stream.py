"""The dump as a stream: whole, or refused, whenever its reader ends."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup.progress import ignore_progress
from bundle_helper.restore import dump_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 1 << 20


@pytest.fixture
def left_alone() -> Iterator[int]:
    """Return where somebody writes whose reader has ended."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def pass_on(size: int, target: int) -> int:
    """Let somebody write so many bytes, and pass them on."""
    reading, writing = os.pipe()

    def write() -> None:
        left = size
        with contextlib.suppress(BrokenPipeError):
            while left:
                left -= os.write(writing, bytes(min(left, CHUNK)))
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        return dump_stream._pass_on(reading, target, size, ignore_progress)
    finally:
        os.close(reading)
        writer.join()


def test_what_a_reader_has_left_is_counted(left_alone: int) -> None:
    """It may have ended before the last bytes were known to be the last."""
    assert pass_on(1000, left_alone) == 1000


def test_a_reader_that_ended_long_before_is_told_apart(left_alone: int) -> None:
    with pytest.raises(BrokenPipeError):
        pass_on(3 * CHUNK, left_alone)
