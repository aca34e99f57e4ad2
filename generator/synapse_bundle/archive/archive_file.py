"""An archive that is read: nothing in it is believed before it was compared with its digests."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Final

from ..errors import SettingsError
from .folder import CHUNK
from .index import ArchiveIndex, parse_index, write_sums
from .members import IMAGES, INDEX, SUMS, Member, MemberError, MemberKind, check_order
from .tar_writer import TYPES, measure_tar

_KINDS: Final = {form: kind for kind, form in TYPES.items()}
# Bytes; an index of ten thousand files is a quarter of this.
_LARGEST_INDEX: Final = 16 << 20


@dataclass(frozen=True, kw_only=True)
class ArchiveFile:
    """An open archive whose index, names and order are good; `contents` proves the rest."""

    path: Path
    index: ArchiveIndex
    members: tuple[Member, ...]
    _file: IO[bytes]
    _offsets: dict[str, int]

    @property
    def size(self) -> int:
        """Bytes of all files in it."""
        return sum(member.size for member in self.members)

    @property
    def folder(self) -> tuple[Member, ...]:
        """The members of the bundle's folder, parents first."""
        return tuple(each for each in self.members if each.name not in {IMAGES, INDEX, SUMS})

    @property
    def images(self) -> Member:
        """The member that `docker load` reads."""
        return next(each for each in self.members if each.name == IMAGES)

    def read(
        self, member: Member, report: Callable[[int], object] | None = None
    ) -> Iterator[bytes]:
        """Yield a file's content, and report the length of each chunk.

        Raises SettingsError, at the latest after the last chunk, where it is not what was packed.
        """
        self._file.seek(self._offsets[member.name])
        left, digest = member.size, hashlib.sha256()
        while chunk := self._file.read(min(CHUNK, left)):
            left -= len(chunk)
            digest.update(chunk)
            yield chunk
            if report:
                report(len(chunk))
        if digest.hexdigest() != member.digest:
            raise _refuse(self.path, f"{member.name!r} was altered")

    def verify(self, report: Callable[[int], object]) -> None:
        """Read everything; raises SettingsError where something is not what was packed."""
        for member in self.members:
            if member.kind is MemberKind.FILE:
                for _ in self.read(member, report):
                    pass


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[ArchiveFile]:
    """Open an archive; raises SettingsError for a file that is none, is cut off or was altered."""
    with open(path, "rb", opener=_open_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise SettingsError(f"{path} is not a file")
        try:
            archive = _read_archive(path, file)
        except (tarfile.TarError, ValueError, EOFError) as error:
            raise _refuse(path, str(error)) from error
        yield archive


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe would otherwise wait for its writer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _read_archive(path: Path, file: IO[bytes]) -> ArchiveFile:
    """Return an archive; raises ValueError or TarError for what no run has written."""
    with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="strict") as tar:
        headers = tar.getmembers()
    found = [_read_header(header) for header in headers]
    check_order(found)
    # Python's own law after ours; Python 3.11.3 and older have none.
    for header in headers if hasattr(tarfile, "data_filter") else ():
        tarfile.data_filter(header, "/nonexistent")
    offsets = {each.name: header.offset_data for each, header in zip(found, headers, strict=True)}
    size = os.fstat(file.fileno()).st_size
    if measure_tar(offsets[SUMS] + found[-1].size + -found[-1].size % tarfile.BLOCKSIZE) != size:
        raise MemberError("its end is missing, or something follows it")
    described, sums = (_read_small(file, offsets[each.name], each.size) for each in found[-2:])
    index_member, sums_member = (
        replace(member, digest=hashlib.sha256(content).hexdigest())
        for member, content in zip(found[-2:], (described, sums), strict=True)
    )
    if not sums.endswith(write_sums([index_member])):
        raise MemberError(f"{INDEX!r} or {SUMS!r} was altered")
    index = parse_index(described, str(path))
    members = (*index.members, index_member)
    if [replace(each, digest="") for each in members] != found[:-1] or sums != write_sums(members):
        raise MemberError(f"{INDEX!r} describes other members")
    whole = (*members, sums_member)
    return ArchiveFile(path=path, index=index, members=whole, _file=file, _offsets=offsets)


def _read_header(header: tarfile.TarInfo) -> Member:
    """Return a member without its digest; raises MemberError for a kind that no archive has."""
    kind = _KINDS.get(header.type)
    if kind is None:
        raise MemberError(f"{header.name!r} is not a file, a directory or a link")
    modified = int(header.mtime) if kind is MemberKind.FILE else 0
    return Member(
        name=header.name,
        kind=kind,
        mode=header.mode,
        modified=modified,
        size=header.size,
        target=header.linkname,
    )


def _read_small(file: IO[bytes], offset: int, size: int) -> bytes:
    """Return a member's content; raises MemberError for one that is too large to be ours."""
    if size > _LARGEST_INDEX:
        raise MemberError(f"{INDEX!r} or {SUMS!r} is too large")
    file.seek(offset)
    return file.read(size)


def _refuse(path: Path, reason: str) -> SettingsError:
    return SettingsError(
        f"{path} is not an archive of synapse-bundle, or is cut off or damaged ({reason});"
        " copy it again from where it was packed. Nothing was changed."
    )
