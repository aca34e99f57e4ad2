"""Locks between processes and threads, which end with their holder however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW


@contextlib.contextmanager
def lock_directory(directory: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a directory; BlockingIOError if another holds it and `wait` is false.

    OSError passes through.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def open_locked(path: Path) -> Iterator[int]:
    """Open a file for writing, empty, that no other process writes; OSError passes through.

    What a killed writer left is taken over.
    """
    while True:
        try:
            descriptor = os.open(path, _WRITE, 0o600)
        except PermissionError:
            # None of our writers left it with such a mode.
            path.unlink(missing_ok=True)
            descriptor = os.open(path, _WRITE, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # The last holder may have renamed the file: then it is no longer the one to write.
            if _is_named(descriptor, path):
                os.ftruncate(descriptor, 0)
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is_named(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
