"""An archive's folder -> disk, in a directory that has no name yet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..errors import SettingsError
from .amount import write_amount
from .archive_file import ArchiveFile
from .members import FOLDER, Member, MemberKind
from .staging import synchronize


def require_room(archive: ArchiveFile, directory: Path) -> None:
    """Raise SettingsError where a folder does not fit on the disk of a directory."""
    needed = sum(member.size for member in archive.folder)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise SettingsError(
            f"{directory} has {write_amount(free)} free, and the folder needs"
            f" {write_amount(needed)}; nothing was changed"
        )


def extract_folder(archive: ArchiveFile, staged: Path) -> None:
    """Write the folder into an empty directory, and wait until it is on disk.

    Raises SettingsError for a link that leaves the folder by way of another one.
    """
    directories = []
    for member in archive.folder:
        path = staged / Path(member.name).relative_to(FOLDER)
        if member.kind is MemberKind.LINK:
            path.symlink_to(member.target)
        elif member.kind is MemberKind.FILE:
            _write_file(archive, member, path)
        else:
            path.mkdir(mode=0o700, exist_ok=path == staged)
            directories.append((path, member.mode))
    _require_inside(archive, staged)
    # At the end: a directory may be closed even to its owner.
    for path, mode in reversed(directories):
        synchronize(path)
        path.chmod(mode)


def _require_inside(archive: ArchiveFile, staged: Path) -> None:
    root = Path(os.path.realpath(staged))
    for member in archive.folder:
        if member.kind is MemberKind.LINK:
            path = root / Path(member.name).relative_to(FOLDER)
            if not Path(os.path.realpath(path)).is_relative_to(root):
                raise SettingsError(
                    f"{archive.path} has a link that leaves the folder, {member.name!r}; nothing"
                    " was changed"
                )


def _write_file(archive: ArchiveFile, member: Member, path: Path) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        for chunk in archive.read(member):
            file.write(chunk)
        file.flush()
        os.fchmod(file.fileno(), member.mode)
        os.utime(file.fileno(), (member.modified, member.modified))
        os.fsync(file.fileno())
