"""New files and folders, written beside their place and renamed when whole; nothing is overwritten."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ..errors import BundleError, SettingsError


def require_absent(target: Path) -> None:
    """Raise SettingsError where there is something already."""
    if os.path.lexists(target):
        raise SettingsError(f"{target} exists and is never overwritten; choose another name")


@contextlib.contextmanager
def stage_file(target: Path) -> Iterator[IO[bytes]]:
    """Yield a file that only its owner can read, and that gets its name when the block ends well.

    Raises BundleError where another run is writing the same.
    """
    staged = _sweep(target)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(staged, flags, 0o600), "w+b") as file:
        try:
            _claim(file.fileno(), staged, target)
            yield file
            file.flush()
            os.fsync(file.fileno())
            require_absent(target)
            staged.rename(target)
        except BaseException:
            staged.unlink(missing_ok=True)
            raise
    synchronize(target.parent)


@contextlib.contextmanager
def stage_directory(target: Path) -> Iterator[Path]:
    """Yield a directory that gets its name when the block ends well.

    Raises BundleError where another run is writing the same.
    """
    staged = _sweep(target)
    staged.mkdir(mode=0o700)
    handle = os.open(staged, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _claim(handle, staged, target)
        yield staged
        require_absent(target)
        staged.rename(target)
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise
    finally:
        os.close(handle)
    synchronize(target.parent)


def _sweep(target: Path) -> Path:
    """Return where to stage; what a killed run left there is removed."""
    staged = target.with_name(f".{target.name}.part")
    try:
        handle = os.open(staged, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return staged
    try:
        _claim(handle, staged, target)
        if staged.is_dir():
            shutil.rmtree(staged)
        else:
            staged.unlink()
    finally:
        os.close(handle)
    return staged


def _claim(handle: int, staged: Path, target: Path) -> None:
    """Lock what is open; raises BundleError where another run has it, or took it away meanwhile."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), staged.lstat()):
            return
    except (BlockingIOError, FileNotFoundError):
        pass
    raise BundleError(f"another run is writing {target}; try again when it has ended")


def synchronize(directory: Path) -> None:
    """Wait until the names in a directory are on disk."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
