"""Synapse's files: whether there are any, and how they come back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..backup.repository_errors import RepositoryError
from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..backup.progress import Report
    from ..backup.repository import Repository
    from ..backup.sets import BackupSet
    from ..settings.backup_settings import BackupSettings, RepositorySettings

# The kernel's words, as restic repeats them.
_FULL: Final = "no space left on device"


class _GivenUpError(Exception):
    """The files are not wanted any more."""


def find_file(settings: BackupSettings) -> Path | None:
    """Return one of Synapse's files, or None if there are directories at most."""
    files = (
        path for path in _walk(settings.media_directory) if not path.is_dir() or path.is_symlink()
    )
    staging = settings.staging_directory
    return next((path for path in files if not path.is_relative_to(staging)), None)


def _restore_media(repository: Repository, chosen: BackupSet, report: Report) -> None:
    """Write all files of the set into the empty staging directory, and give them their owner."""
    settings = repository.settings
    directory = settings.staging_directory
    with explain_errors(directory):
        source = f"{chosen.snapshot}:{settings.media_directory}"
        # restic compares each part with its hash before it writes it.
        repository.restore(source, directory, verify=False, report=report)
        _give_to_synapse(settings, (directory, *_walk(directory)))


@contextlib.contextmanager
def restoring(
    repository: Repository, chosen: BackupSet, report: Report
) -> Iterator[Callable[[], None]]:
    """Yield what begins to restore the files into the staging directory, beside what else happens inside.

    At the end they are there; if anything else fails they are given up.
    """
    staging = repository.settings.staging_directory
    with explain_errors(staging):
        staging.mkdir()
    given_up = threading.Event()

    def watch(done: int, total: int | None) -> None:
        if given_up.is_set():
            raise _GivenUpError
        report(done, total)

    with ThreadPoolExecutor(1) as pool:
        files: list[Future[None]] = []

        def begin() -> None:
            files.append(pool.submit(_restore_media, repository, chosen, watch))

        try:
            yield begin
            for each in files:
                each.result()
        except BaseException:
            given_up.set()
            raise


def take_place(settings: BackupSettings) -> None:
    """Replace all files by those in the staging directory, and wait until they are on the disk."""
    directory, staging = settings.media_directory, settings.staging_directory
    with explain_errors(directory):
        empty_directory(directory, keep=staging)
        for path in staging.iterdir():
            path.rename(directory / path.name)
        staging.rmdir()
        _give_to_synapse(settings, (directory,))
        flush(directory)


def flush(directory: Path) -> None:
    """Write to the disk all that its file system still has in memory; OSError if it cannot be written."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # `os.sync` would wait for every other disk too, and reports no error.
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(directory))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explain_errors(directory: Path) -> Iterator[None]:
    """Turn what the disk refuses inside into HelperError."""
    try:
        yield
    except RepositoryError as error:
        if _FULL not in error.message:
            raise
        raise HelperError(
            f"the disk with Docker's volumes is full, so the files were not restored: {_FULL}. Free some"
            " room, then run this again."
        ) from error
    except OSError as error:
        raise HelperError(
            f"{error.filename or directory} cannot be restored: {error.strerror}. Check the volume"
            " `media`, then run this again."
        ) from error


def give_back(repository: RepositorySettings) -> None:
    """Give what restic wrote into a folder as root to the owner of the folder; OSError passes through.

    Otherwise the next backup, which runs as that owner, could not read it.
    """
    folder = Path(repository.location)
    if repository.is_folder and folder.is_dir() and os.geteuid() == 0:
        status = folder.stat()
        give_tree(folder, status.st_uid, status.st_gid)


def give_tree(directory: Path, uid: int, gid: int) -> None:
    """Make `uid` and `gid` the owner of a directory and of all in it; OSError passes through."""
    _give((directory, *_walk(directory)), uid, gid)


def _give_to_synapse(settings: BackupSettings, paths: Iterable[Path]) -> None:
    # The machine where the set was made may have used other numbers; without root they are this user's.
    if os.geteuid() == 0:
        _give(paths, settings.media_owner, settings.media_owner)


def _give(paths: Iterable[Path], uid: int, gid: int) -> None:
    for path in paths:
        status = path.lstat()
        if (status.st_uid, status.st_gid) != (uid, gid):
            os.lchown(path, uid, gid)


def measure_tree(directory: Path) -> int:
    """Return how many bytes of the disk everything below `directory` takes; OSError passes through."""
    # st_blocks counts units of 512 bytes, whatever the disk's own are: stat(2).
    return sum(path.lstat().st_blocks * 512 for path in _walk(directory))


def empty_directory(directory: Path, *, keep: Path | None = None) -> None:
    """Delete everything in a directory but `keep`; OSError passes through."""
    for path in directory.iterdir():
        if path == keep:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _walk(directory: Path) -> Iterator[Path]:
    for parent, directories, files in os.walk(directory):
        yield from (Path(parent, name) for name in (*directories, *files))
