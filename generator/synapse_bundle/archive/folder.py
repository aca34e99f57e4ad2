"""A bundle's folder as members of an archive; whatever leaves the folder is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..errors import BundleError, SettingsError
from ..locking import LOCK
from ..output_directory import STAGED
from .members import FOLDER, Member, MemberError, MemberKind, check_link, check_name

# What restic makes of a directory; the names are its format's (restic, doc/design.rst).
_REPOSITORY: Final = frozenset({"config", "data", "index", "keys", "snapshots"})
_REPOSITORY_LOCKS: Final = "locks"
CHUNK: Final = 1 << 20


@dataclass(kw_only=True)
class FolderListing:
    """The members of a folder, parents first, and the backup repositories found in it.

    Without `with_backups` these are not among the members. `states` tells whether the folder has
    changed since.
    """

    root: Path
    with_backups: bool
    members: list[Member] = field(default_factory=list)
    states: list[tuple[int, ...]] = field(default_factory=list)
    repositories: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(member.size for member in self.members)

    def read(self, member: Member) -> Iterator[bytes]:
        """Yield the content of a file of the folder."""
        path = self.root / Path(member.name).relative_to(FOLDER)
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def require_unchanged(self) -> None:
        """Raise BundleError where the folder is no longer what was listed."""
        other = list_folder(self.root, with_backups=self.with_backups)
        if (self.members, self.states) != (other.members, other.states):
            raise BundleError(
                f"{self.root} was changed while it was packed; nothing was written. Try again when"
                " no backup runs"
            )


def list_folder(bundle: Path, *, with_backups: bool) -> FolderListing:
    """Return what an archive of a bundle's folder holds.

    Raises SettingsError with everything that cannot be packed.
    """
    listing = FolderListing(root=bundle.resolve(), with_backups=with_backups)
    try:
        _add(listing, listing.root, FOLDER)
    except FileNotFoundError as error:
        raise BundleError(f"{error.filename} vanished while it was packed; try again") from error
    if listing.problems:
        raise SettingsError(f"{bundle} cannot be packed; nothing was written.", listing.problems)
    return listing


def _add(listing: FolderListing, path: Path, name: str) -> None:
    """Add what is at a path, and everything below it."""
    found = path.lstat()
    try:
        member = _describe(path, name, found, listing.root)
    except (MemberError, OSError) as error:
        listing.problems.append(str(error))
        return
    entries = sorted(os.listdir(path)) if member.kind is MemberKind.DIRECTORY else []  # noqa: PTH208
    repository = _REPOSITORY.issubset(entries)
    if repository:
        listing.repositories.append(str(path.relative_to(listing.root)))
        if not listing.with_backups:
            return
    listing.members.append(member)
    listing.states.append((found.st_ino, found.st_size, found.st_mtime_ns))
    for entry in entries:
        if not _is_passing(entry, name, listing.repositories):
            _add(listing, path / entry, f"{name}/{entry}")


def _is_passing(entry: str, parent: str, repositories: list[str]) -> bool:
    """Return whether a file is another run's own, and gone when that ends."""
    if parent == FOLDER and entry == LOCK:
        return True
    folder, _, last = parent.removeprefix(f"{FOLDER}/").rpartition("/")
    return entry.endswith(STAGED) or (last == _REPOSITORY_LOCKS and folder in repositories)


def _describe(path: Path, name: str, found: os.stat_result, root: Path) -> Member:
    """Return a member; raises MemberError, or OSError, for what an archive cannot hold."""
    check_name(name)
    mode = found.st_mode & 0o777
    if stat.S_ISLNK(found.st_mode):
        target = os.readlink(path)  # noqa: PTH115  # a Path would lose a slash at the end
        check_link(name, target)
        # By way of other links, too.
        if not Path(os.path.realpath(path)).is_relative_to(root):
            raise MemberError(f"{name!r} is a link that leaves the folder, to {target!r}")
        return Member(name=name, kind=MemberKind.LINK, mode=0o777, target=target)
    needed = os.R_OK | (os.X_OK if stat.S_ISDIR(found.st_mode) else 0)
    if not os.access(path, needed):
        raise MemberError(f"{name!r} cannot be read by you; it belongs to user {found.st_uid}")
    if stat.S_ISDIR(found.st_mode):
        return Member(name=name, kind=MemberKind.DIRECTORY, mode=mode)
    if not stat.S_ISREG(found.st_mode):
        raise MemberError(f"{name!r} is not a file, a directory or a link; move it away")
    modified = int(found.st_mtime)
    return Member(name=name, kind=MemberKind.FILE, mode=mode, modified=modified, size=found.st_size)
