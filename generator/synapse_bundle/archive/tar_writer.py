"""A tar file that is written in one pass, also where a member's size is known only at its end."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Iterable
from dataclasses import replace
from typing import IO, Final

from .members import Member, MemberKind

# GNU's form has UTF-8 names in the headers themselves: tar, bsdtar and busybox read it alike.
_FORM: Final = tarfile.GNU_FORMAT
TYPES: Final = {
    MemberKind.FILE: tarfile.REGTYPE,
    MemberKind.DIRECTORY: tarfile.DIRTYPE,
    MemberKind.LINK: tarfile.SYMTYPE,
}


class TarWriter:
    """Writes members to a file that can be sought in."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, member: Member, chunks: Iterable[bytes] = ()) -> Member:
        """Append a member; return it with the size and the digest of its content."""
        start = self._file.tell()
        self._file.write(_write_header(member))
        size, digest = 0, hashlib.sha256()
        for chunk in chunks:
            self._file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        if member.kind is not MemberKind.FILE:
            return member
        whole = replace(member, size=size, digest=digest.hexdigest())
        self._file.write(bytes(-size % tarfile.BLOCKSIZE))
        end = self._file.tell()
        self._file.seek(start)
        self._file.write(_write_header(whole))
        self._file.seek(end)
        return whole

    def close(self) -> None:
        """Write the end of the tar; the file stays open."""
        end = self._file.tell()
        self._file.write(bytes(measure_tar(end) - end))


def measure_tar(end: int) -> int:
    """Return the length of a tar whose last member ends at `end`: two empty blocks, whole records."""
    return -(-(end + 2 * tarfile.BLOCKSIZE) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def _write_header(member: Member) -> bytes:
    header = tarfile.TarInfo(member.name)
    header.type, header.mode, header.size = TYPES[member.kind], member.mode, member.size
    header.mtime, header.linkname = member.modified, member.target
    return header.tobuf(_FORM, "utf-8", "strict")
