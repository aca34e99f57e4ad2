"""The settings of an import, from the environment. Nothing has a default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .backup_settings import BackupSettings
from .environment import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NONE: Final = "none"


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """What the `import` commands need beside what a restore does.

    `source` is the other server's folder or volume, read-only; `dump` its database as a file, None where it
    is in the folder. `copy` is where an SQLite database is copied to, in a folder of its own.
    """

    backup: BackupSettings
    source: Path
    dump: Path | None
    copy: Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> ImportSettings:
        """Read `environ` and the secret files it names; InvalidEnvironmentError lists every problem."""
        environment = Environment(environ)
        settings = cls(
            backup=BackupSettings.from_environ(environ),
            source=environment.path("IMPORT_SOURCE"),
            dump=environment.optional_path("IMPORT_DUMP", without=_NONE),
            copy=environment.path("IMPORT_COPY"),
        )
        environment.raise_problems()
        return settings
