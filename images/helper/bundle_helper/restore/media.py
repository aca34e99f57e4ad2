"""Synapse's files: whether there are any, and how they come back."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..backup.repository_errors import RepositoryError
from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..backup.progress import Report
    from ..backup.repository import Repository
    from ..backup.sets import BackupSet
    from ..settings.backup_settings import RepositorySettings

# The kernel's words, as restic repeats them.
_FULL: Final = "no space left on device"


def find_file(directory: Path) -> Path | None:
    """Return a file below `directory`, or None if it holds directories at most."""
    return next((path for path in _walk(directory) if not path.is_dir() or path.is_symlink()), None)


def restore_media(repository: Repository, chosen: BackupSet, report: Report) -> None:
    """Replace all files by those of the set, read them back, and give them their owner."""
    settings = repository.settings
    directory = settings.media_directory
    try:
        empty_directory(directory)
        repository.restore(f"{chosen.snapshot}:{directory}", directory, report=report)
        # The machine where the set was made may have used other numbers; without root they are this user's.
        if os.geteuid() == 0:
            give_tree(directory, settings.media_owner, settings.media_owner)
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
    for path in (directory, *_walk(directory)):
        status = path.lstat()
        if (status.st_uid, status.st_gid) != (uid, gid):
            os.lchown(path, uid, gid)


def measure_tree(directory: Path) -> int:
    """Return how many bytes of the disk everything below `directory` takes; OSError passes through."""
    # st_blocks counts units of 512 bytes, whatever the disk's own are: stat(2).
    return sum(path.lstat().st_blocks * 512 for path in _walk(directory))


def empty_directory(directory: Path) -> None:
    """Delete everything in a directory; OSError passes through."""
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _walk(directory: Path) -> Iterator[Path]:
    for parent, directories, files in os.walk(directory):
        yield from (Path(parent, name) for name in (*directories, *files))
