"""Folder and images -> one archive, in one pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from .folder import FolderListing
from .index import ArchiveIndex, write_sums
from .members import IMAGES, INDEX, SUMS, Member, MemberKind
from .staging import stage_file
from .tar_writer import TarWriter

# Only the owner of an archive may read what it says, also after `tar -x`.
_PRIVATE: Final = 0o600


def write_archive(
    target: Path,
    listing: FolderListing,
    images: Iterable[bytes],
    description: ArchiveIndex,
    *,
    report: Callable[[int], object],
    confirm: Callable[[], None],
) -> None:
    """Write an archive; `description` lacks the members alone.

    `report` hears of every number of bytes that was written. `confirm` raises where folder or
    images have changed meanwhile; then, as after any error, nothing is left behind.
    """
    with stage_file(target) as file:
        writer, members = TarWriter(file), []
        for member in listing.members:
            chunks = _count(listing.read(member), report) if member.kind is MemberKind.FILE else ()
            members.append(writer.add(member, chunks))
        members.append(writer.add(_name_file(IMAGES), _count(images, report)))
        content = replace(description, members=tuple(members)).serialize()
        members.append(writer.add(_name_file(INDEX), [content]))
        writer.add(_name_file(SUMS), [write_sums(members)])
        writer.close()
        confirm()


def _name_file(name: str) -> Member:
    return Member(name=name, kind=MemberKind.FILE, mode=_PRIVATE, modified=int(time.time()))


def _count(chunks: Iterable[bytes], report: Callable[[int], object]) -> Iterator[bytes]:
    """Yield chunks, and report the length of each."""
    for chunk in chunks:
        yield chunk
        report(len(chunk))
