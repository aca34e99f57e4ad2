"""What an archive may hold: names and links that stay inside it, and nothing but files and directories."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Final

# The well-known members; everything else is below FOLDER.
FOLDER: Final = "bundle"
IMAGES: Final = "images.tar"
INDEX: Final = "index.json"
SUMS: Final = "SHA256SUMS"
_ENDING: Final = (IMAGES, INDEX, SUMS)


class MemberKind(StrEnum):
    """What a member is; there are no other kinds."""

    FILE = "file"
    DIRECTORY = "directory"
    LINK = "link"


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member: of a file size and SHA-256 digest, of a link where it leads.

    `mode` has the permission bits alone; `modified` is in seconds since the epoch, of files.
    """

    name: str
    kind: MemberKind
    mode: int
    modified: int = 0
    size: int = 0
    digest: str = ""
    target: str = ""


class MemberError(ValueError):
    """A name, a link or an order that no archive of ours has."""


def check_order(members: Iterable[Member]) -> None:
    """Raise MemberError unless this is a folder, parents first, and then the three at the end.

    A parent is always a directory and never a link, so nothing is written through one.
    """
    whole = list(members)
    ending = whole[-len(_ENDING) :]
    if [(each.name, each.kind) for each in ending] != [(name, MemberKind.FILE) for name in _ENDING]:
        raise MemberError(f"it does not end with {', '.join(_ENDING)}")
    seen: set[str] = set()
    directories: set[str] = set()
    for member in whole[: -len(_ENDING)]:
        check_name(member.name)
        parent = str(PurePosixPath(member.name).parent)
        if member.name in seen or (parent not in directories and member.name != FOLDER):
            raise MemberError(f"{member.name!r} is in the wrong place")
        if member.mode & ~0o777:
            raise MemberError(f"{member.name!r} has a mode that no archive has")
        seen.add(member.name)
        if member.kind is MemberKind.DIRECTORY:
            directories.add(member.name)
        if member.kind is MemberKind.LINK:
            check_link(member.name, member.target)
    if FOLDER not in directories:
        raise MemberError(f"it has no directory {FOLDER}")


def check_name(name: str) -> None:
    """Raise MemberError for a name that is not plain text, or not below FOLDER."""
    path = PurePosixPath(name)
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in name):
        raise MemberError(f"{name!r} has a control character in its name, or is not UTF-8")
    if str(path) != name or ".." in path.parts or path.parts[:1] != (FOLDER,):
        raise MemberError(f"{name!r} is outside the folder")


def check_link(name: str, target: str) -> None:
    """Raise MemberError for a link that leads out of FOLDER."""
    check_name(name)
    if not target:
        raise MemberError(f"{name!r} is a link that leads nowhere")
    depth = len(PurePosixPath(name).parts) - 2
    for part in PurePosixPath(target).parts:
        depth += -1 if part == ".." else 1
        if depth < 0 or target.startswith("/"):
            raise MemberError(f"{name!r} is a link that leaves the folder, to {target!r}")
