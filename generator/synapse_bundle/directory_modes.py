"""The bundle's directories: who owns them, who may enter them, making and removing them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from stat import S_IMODE
from typing import Final

from .credentials.file_names import DIRECTORY
from .errors import SettingsError

# Regardless of the umask: containers run as other users and must read what they mount.
OPEN: Final = 0o755
CLOSED: Final = 0o700
# A user who may write into a directory may replace `secrets` in it.
_OTHERS_WRITE: Final = 0o022


def list_owners(bundle: Path) -> set[int]:
    """Return the users who may own what is in a bundle: this one, root, and the bundle's owner."""
    owners = {0, os.geteuid()}
    with contextlib.suppress(FileNotFoundError):
        owners.add(bundle.stat().st_uid)
    return owners


def find_wrong(
    files: Iterable[PurePosixPath], bundle: Path, owners: set[int]
) -> dict[PurePosixPath, int]:
    """Return the right mode of every directory that has a wrong one, parents first.

    Raises SettingsError for a directory that belongs to another user, who could undo any repair.
    """
    wrong, foreign = {}, []
    for path in sorted({parent for file in files for parent in file.parents}):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = (bundle / path).stat()
            if found.st_uid not in owners:
                foreign.append(f"{path}/: belongs to user {found.st_uid}")
            mode = S_IMODE(found.st_mode)
            if (right := _choose_mode(path, mode)) != mode:
                wrong[path] = right
    if foreign:
        raise SettingsError(
            f"{bundle} has directories of another user; look at what is in them, then take them"
            " over (chown). Nothing was changed.",
            foreign,
        )
    return wrong


def _choose_mode(path: PurePosixPath, mode: int) -> int:
    """Return the mode that a directory of the bundle should have, given the one it has.

    The owner may close the bundle itself to others. Special bits stay.
    """
    if not path.parts:
        return (mode | CLOSED) & ~_OTHERS_WRITE
    return (mode & ~0o777) | (CLOSED if path.parts == (DIRECTORY,) else OPEN)


def make(bundle: Path, directory: Path) -> None:
    """Create a directory in a bundle, and its parents."""
    if directory != bundle:
        make(bundle, directory.parent)
        try:
            directory.mkdir(mode=CLOSED)
        except FileExistsError:
            return
        mode = S_IMODE(directory.stat().st_mode)
        directory.chmod(_choose_mode(PurePosixPath(directory.relative_to(bundle)), mode))


def remove_empty(bundle: Path, directory: Path) -> None:
    """Remove a directory and its parents inside the bundle if they are empty."""
    while directory != bundle and not (directory.is_dir() and any(directory.iterdir())):
        if directory.is_dir():
            directory.rmdir()
        directory = directory.parent
