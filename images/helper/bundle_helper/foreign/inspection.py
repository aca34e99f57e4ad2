"""Another server, looked at: what it is, what forbids its import, and what goes on. Nothing is changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from ..backup.progress import format_size
from ..errors import HelperError
from . import dump_file, identity_check, obstacles, sqlite_copy, sqlite_database
from .carried_secrets import read_secrets
from .homeserver_config import read_config
from .media_copy import MediaTotal, measure_media

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..settings.import_settings import ImportSettings
    from .carried_secrets import CarriedSecrets
    from .homeserver_config import ForeignConfig


# A dump is compressed: 240 MB of one were 1.3 GB of database. SQLite is copied first, and PostgreSQL keeps
# its log of what arrives.
_PER_DUMP: Final = 6
_PER_SQLITE: Final = 3


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """What was found: rows of a table, a sentence for each problem, the secrets that go on."""

    rows: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]
    secrets: CarriedSecrets | None
    sqlite: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as what JSON can write; the secrets are in it."""
        return {
            "rows": self.rows,
            "problems": self.problems,
            "secrets": asdict(self.secrets) if self.secrets else None,
            "sqlite": self.sqlite,
        }


def inspect(settings: ImportSettings) -> Inspection:
    """Look at the source; HelperError if it holds no server."""
    config = read_config(settings.source)
    rows = [("server", config.server_name)]
    problems = list(
        obstacles.list_obstacles(
            config, settings.backup.server_name, has_dump=settings.dump is not None
        )
    )
    secrets = None
    try:
        secrets = read_secrets(config)
        rows.append(("signing key", next(iter(secrets.public_keys))))
        total = measure_media(config.media) if config.media else MediaTotal(0, 0)
        needed = total.size + _estimate_database(settings, config)
        lack = obstacles.describe_lack(settings.copy.parent, needed)
        problems += [lack] if lack else []
        rows += [] if lack else _describe_database(settings, config, secrets, problems)
        rows.append(("files", f"{total.files}, {format_size(total.size)}"))
    except HelperError as error:
        problems.append(error.message)
    rows += _describe_secrets(config, secrets)
    return Inspection(
        rows=tuple(rows), problems=tuple(problems), secrets=secrets, sqlite=config.uses_sqlite
    )


def _estimate_database(settings: ImportSettings, config: ForeignConfig) -> int:
    """Return how many bytes the database will need, with the copy of an SQLite one."""
    if settings.dump is not None:
        return settings.dump.stat().st_size * _PER_DUMP
    return config.sqlite.stat().st_size * _PER_SQLITE if config.sqlite else 0


def _describe_database(
    settings: ImportSettings, config: ForeignConfig, secrets: CarriedSecrets, problems: list[str]
) -> Iterator[tuple[str, str]]:
    if settings.dump is not None:
        yield from _describe_dump(settings.dump, problems)
    elif config.uses_sqlite and config.sqlite is not None:
        sqlite_copy.copy_database(config.sqlite, settings.copy, settings.backup.media_owner)
        try:
            size = format_size(settings.copy.stat().st_size)
            yield "database", f"SQLite, {size}"
            yield from _describe_sqlite(settings, secrets, problems)
        finally:
            sqlite_copy.delete_copy(settings.copy)


def _describe_dump(path: Path, problems: list[str]) -> Iterator[tuple[str, str]]:
    other = dump_file.describe_other_kind(path)
    if other:
        problems.append(other)
        return
    contents = dump_file.read_contents(path)
    problems += dump_file.list_faults(contents)
    size = format_size(path.stat().st_size)
    yield (
        "database",
        f"a dump of PostgreSQL {contents.version}, {len(contents.filled)} tables, {size}",
    )


def _describe_sqlite(
    settings: ImportSettings, secrets: CarriedSecrets, problems: list[str]
) -> Iterator[tuple[str, str]]:
    with sqlite_database.open_copy(settings.copy) as database:
        faults = list(sqlite_database.list_faults(database))
        if not faults:
            faults += identity_check.list_faults(database, settings.backup.server_name, secrets)
        problems += faults
        if not faults:
            counted = sqlite_database.count_rows(database, "users", "devices", "rooms", "events")
            yield from ((name, f"{number:,}") for name, number in counted.items())


def _describe_secrets(
    config: ForeignConfig, secrets: CarriedSecrets | None
) -> Iterator[tuple[str, str]]:
    if secrets is not None:
        carried = ["signing key", *(["password pepper"] if secrets.password_pepper else [])]
        carried += ["macaroon_secret_key"] if secrets.macaroon_secret_key else []
        carried += ["form_secret"] if secrets.form_secret else []
        yield "goes on", ", ".join(carried)
    if left := obstacles.list_left_behind(config.document):
        yield "does not", f"{', '.join(left)}: see docs/import.md"
