"""A copy of an SQLite database: only a copy may be opened, because that can write, even to read.

Synapse uses a write-ahead log: what it did last may be in that alone, so it is part of the database.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Final

from ..errors import HelperError

if TYPE_CHECKING:
    from pathlib import Path

# What SQLite keeps beside a database, and needs to read it: https://www.sqlite.org/tempfiles.html
_COMPANIONS: Final = ("-wal", "-journal")
_STAMP: Final = "stamp"


def copy_database(source: Path, copy: Path, owner: int) -> None:
    """Copy a database; the folder of the copy is replaced and becomes `owner`'s.

    HelperError if it cannot be, or the database changed meanwhile.
    """
    try:
        before = _stamp(source)
        delete_copy(copy)
        copy.parent.mkdir(parents=True, mode=0o700)
        shutil.copyfile(source, copy)
        for suffix in _COMPANIONS:
            if _beside(source, suffix).exists():
                shutil.copyfile(_beside(source, suffix), _beside(copy, suffix))
        (copy.parent / _STAMP).write_text(before, encoding="ascii")
        for path in (copy.parent, *copy.parent.iterdir()):
            if path.stat().st_uid != owner:
                os.chown(path, owner, owner)
    except OSError as error:
        raise HelperError(
            f"the database {source.name} cannot be copied: {error.strerror}. Correct that, then run this again."
        ) from error
    require_unchanged(source, copy)


def delete_copy(copy: Path) -> None:
    """Delete the folder of a copy, if there is one."""
    if copy.parent.exists():
        shutil.rmtree(copy.parent)


def require_unchanged(source: Path, copy: Path) -> None:
    """HelperError if a database was written since it was copied."""
    if (copy.parent / _STAMP).read_text(encoding="ascii") != _stamp(source):
        raise HelperError(
            f"the other Synapse runs: it has written {source.name} meanwhile. Stop it, and leave it"
            " stopped; then run this again. Its last words would be lost."
        )


def _stamp(source: Path) -> str:
    """Return sizes and times of the files of a database as text: any difference is a write."""
    found = []
    for path in (source, *(_beside(source, suffix) for suffix in _COMPANIONS)):
        if path.exists():
            status = path.stat()
            found.append(f"{path.name} {status.st_size} {status.st_mtime_ns}")
    return ", ".join(found)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(f"{path.name}{suffix}")
