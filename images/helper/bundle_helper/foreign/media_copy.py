"""The files of another server: copied, and each read back and compared by its SHA-256."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import HelperError
from ..restore.media import empty_directory, flush, give_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..backup.progress import Report

_CHUNK: Final = 1 << 20
# Where Synapse has them in its data directory.
_FOLDER: Final = "media_store"


class MediaTotal(NamedTuple):
    """How many files there are, and their bytes."""

    files: int
    size: int


def measure_media(source: Path) -> MediaTotal:
    """Return what a folder holds; HelperError if something in it is not a plain file."""
    sizes = [path.stat().st_size for path in _list_files(source)]
    return MediaTotal(len(sizes), sum(sizes))


def copy_media(source: Path, directory: Path, owner: int, report: Report) -> MediaTotal:
    """Replace what is in `directory` by the files of `source`, owned by `owner`, and return what was copied.

    All of it is on the disk then. HelperError if a file cannot be read or written, or is not what was read.
    """
    total = measure_media(source)
    done = 0
    try:
        empty_directory(directory)
        target = directory / _FOLDER
        target.mkdir()
        for path in _list_files(source):
            _copy(path, target / path.relative_to(source))
            done += path.stat().st_size
            report(done, total.size)
        if os.geteuid() == 0:
            give_tree(directory, owner, owner)
        flush(directory)
    except OSError as error:
        raise HelperError(
            f"{error.filename or directory} cannot be copied: {error.strerror}. Correct that, then run this"
            " again."
        ) from error
    return total


def _list_files(source: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(source):
        for name in sorted([*folders, *files]):
            path = Path(parent, name)
            if path.is_symlink() or not (path.is_file() or path.is_dir()):
                raise HelperError(
                    f"{path.relative_to(source)} in the folder of the files is not a plain file. Nothing was"
                    " changed. Put in its place what it leads to, then run this again."
                )
            if not path.is_dir():
                yield path


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    read = hashlib.sha256()
    with source.open("rb") as original, target.open("wb") as written:
        while chunk := original.read(_CHUNK):
            read.update(chunk)
            written.write(chunk)
    with target.open("rb") as written:
        if hashlib.file_digest(written, "sha256").digest() != read.digest():
            raise HelperError(
                f"{target} is not what was written: the disk is failing. Replace it, then run this again."
            )
