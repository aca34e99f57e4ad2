"""The lock of a bundle: one run at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from . import directory_modes
from .errors import BundleError

LOCK: Final = ".lock"


@contextlib.contextmanager
def lock(bundle: Path) -> Iterator[None]:
    """Lock a bundle for one run; raises BundleError where another run has it locked.

    Directories that were created only for the lock are removed with it.
    """
    created = [path for path in (bundle, *bundle.parents) if not path.exists()]
    try:
        handle = _take_lock(bundle)
    except OSError as error:
        _remove_created(created)
        raise BundleError(f"{bundle} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        # While the lock is held: afterwards it may be another run's.
        with contextlib.suppress(OSError):
            if [entry.name for entry in bundle.iterdir()] == [LOCK]:
                (bundle / LOCK).unlink()
                _remove_created(created)
        os.close(handle)


@contextlib.contextmanager
def lock_folder(bundle: Path) -> Iterator[int]:
    """Lock the folder itself against backups, which lock it too, and yield the descriptor.

    Who inherits the descriptor holds the lock as well. BundleError where another one has it.
    """
    handle = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield handle
    except BlockingIOError:
        raise BundleError(
            f"{bundle} is in use: a backup runs, or what an update that was killed has started. Try"
            " again when it has ended"
        ) from None
    finally:
        os.close(handle)


def _take_lock(bundle: Path) -> int:
    """Return an open, locked file that is still the one at its path.

    The run that held it before may remove it, and its directory, between any two steps here.
    """
    while True:
        _make_output(bundle)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            handle = os.open(bundle / LOCK, flags, 0o600)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), (bundle / LOCK).stat()):
                return handle
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(handle)
            raise BundleError(
                f"another run is writing {bundle}; try again when it has ended"
            ) from None
        os.close(handle)


def _make_output(bundle: Path) -> None:
    """Create the bundle's directory if it is missing, with a mode that ignores the umask."""
    bundle.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        bundle.mkdir(mode=directory_modes.CLOSED)
        bundle.chmod(directory_modes.OPEN)


def _remove_created(created: Iterable[Path]) -> None:
    """Remove directories that this run created, innermost first, if they are empty."""
    with contextlib.suppress(OSError):
        for directory in created:
            directory.rmdir()
