"""What forbids a restore, each with one sentence; nothing here changes anything."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ..backup.progress import format_size
from ..backup.repository_errors import (
    RepositoryError,
    RepositoryLockedError,
    RepositoryMissingError,
    WrongPasswordError,
)
from ..backup.restic import Restic
from ..database.catalog import read_database
from ..database.fence import count_sessions
from ..database.retired import refuse_retired
from ..errors import HelperError
from .dump_stream import stream_dump
from .loading import connect_to_data
from .media import find_file, measure_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from ..backup.manifest import SetManifest
    from ..backup.progress import Progress
    from ..backup.repository import Repository
    from ..backup.sets import BackupSet
    from ..database.instance import InstanceRecord
    from ..settings.backup_settings import BackupSettings
    from ..settings.database_settings import DatabaseSettings

# Measured: 0.83 GB of dump became 1.3 GB of database; the rest is the write-ahead log meanwhile.
_DATABASE_PER_DUMP: Final = 2.5


def require_same_server(settings: BackupSettings, manifest: SetManifest) -> None:
    """HelperError if the set belongs to another server than this folder."""
    if manifest.server_name != settings.server_name:
        raise HelperError(
            f"the set {manifest.set} belongs to the server {manifest.server_name}, and this folder is"
            f" {settings.server_name}. Nothing was changed. Use the folder of {manifest.server_name},"
            " or put the repository of this server into settings.yaml."
        )
    if manifest.verify_key not in settings.own_keys:
        raise HelperError(
            f"the set {manifest.set} was made with another signing key,"
            f" {manifest.verify_key.split()[0]}, than the one in secrets/signing.key,"
            f" {settings.verify_key.split()[0]}. Nothing was changed. Put the file back that belongs to"
            " this server: every set contains it."
        )


def require_database_version(superuser: psycopg.Connection, manifest: SetManifest) -> None:
    """HelperError if PostgreSQL here is of an older major version than the set's."""
    here = superuser.info.server_version // 10000
    there = int(manifest.postgres_version.partition(".")[0])
    if here < there:
        raise HelperError(
            f"the set {manifest.set} comes from PostgreSQL {there}, and here is {here}, which cannot read"
            f" it. Nothing was changed. Use the folder that is in the set, which has PostgreSQL {there}: the"
            " recovery card says how to get it."
        )


def require_stopped(superuser: psycopg.Connection, database: DatabaseSettings) -> None:
    """HelperError if Synapse runs: some of its ids are counted in its memory."""
    if count_sessions(superuser, database.database_role):
        raise HelperError(
            "Synapse is running. Nothing was changed. Stop the server with `docker compose stop`, then run"
            " this again."
        )


def require_empty(
    superuser: psycopg.Connection, settings: BackupSettings, record: InstanceRecord | None
) -> None:
    """HelperError if there is anything that a restore would replace."""
    if record is not None and record.moved is not None:
        refuse_retired(record)
        raise HelperError(
            f"this server moved away from here on {record.moved.time}, and its data is still here."
            " Nothing was changed. To start it here again, as long as nobody has restored it elsewhere:"
            " `docker compose run --rm backup move --undo`."
        )
    held = describe_database(superuser, settings.database) or _describe_files(settings)
    if held:
        raise HelperError(
            f"{held}. Nothing was changed: a restore replaces nothing. If this data is to be given up"
            " for good, stop the server and delete it with `docker compose down --volumes`, then run"
            " this again."
        )


def describe_database(superuser: psycopg.Connection, database: DatabaseSettings) -> str | None:
    """Say what Synapse's database holds, None if there is nothing in it."""
    if read_database(superuser, database.database_name) is not None:
        with connect_to_data(database) as connection:
            row = connection.execute(
                "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema' LIMIT 1"
            ).fetchone()
        if row is not None:
            return f"the database {database.database_name} is not empty: it holds {row[0]}"
    return None


def _describe_files(settings: BackupSettings) -> str | None:
    try:
        file = find_file(settings)
    except OSError as error:
        raise HelperError(
            f"{error.filename} cannot be read: {error.strerror}. Nothing was changed."
        ) from error
    return f"the volume `media` is not empty: it holds {file}" if file else None


class Remains(NamedTuple):
    """What an interrupted restore left, in bytes: the next one begins by deleting it."""

    database: int = 0
    files: int = 0


def measure_remains(superuser: psycopg.Connection, settings: BackupSettings) -> Remains:
    """Return how much room the next restore makes by itself."""
    row = superuser.execute(
        "SELECT coalesce(sum(pg_database_size(oid)), 0) FROM pg_database WHERE datname IN (%s, %s)",
        (settings.database.database_name, settings.staged.database.database_name),
    ).fetchone()
    return Remains(int(row[0]) if row else 0, measure_tree(settings.media_directory))


def require_room(
    repository: Repository, chosen: BackupSet, remains: Remains, *, files: bool = True
) -> None:
    """HelperError if the disk has too little room for the database, and for the `files` where they come too.

    PostgreSQL's own volume is not visible here; Docker keeps all volumes in one place.
    """
    settings = repository.settings
    database = int(chosen.manifest.dump_bytes * _DATABASE_PER_DUMP)
    media = 0
    if files:
        size = repository.measure(chosen.snapshot) if chosen.size is None else chosen.size
        media = size - remains.files
    needed = [
        (settings.state_directory, database - remains.database),
        (settings.media_directory, media),
    ]
    if len({_find_existing(path).stat().st_dev for path, _ in needed}) == 1:
        needed = [(settings.media_directory, sum(size for _, size in needed))]
    for path, size in needed:
        free = shutil.disk_usage(_find_existing(path)).free
        if free < size:
            raise HelperError(
                f"the disk with Docker's volumes has {format_size(free)} free, and the set"
                f" {chosen.manifest.set} needs {format_size(size)} there. Nothing was changed. Free some"
                " room, then run this again."
            )


def _find_existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


@contextlib.contextmanager
def explain_damage() -> Iterator[None]:
    """Say of what the repository refuses inside that nothing was changed, and what may help."""
    try:
        yield
    except (RepositoryMissingError, RepositoryLockedError, WrongPasswordError):
        raise
    except RepositoryError as error:
        raise HelperError(
            f"{error.message}\nNothing was changed. If the repository is damaged, choose another set,"
            " which `docker compose run --rm backup list` shows, or copy the repository here again."
        ) from error


def check_repository(settings: BackupSettings) -> None:
    """Check the structure of the repository; RepositoryError if it is damaged."""
    Restic(settings).ask("check", "--no-lock")


@contextlib.contextmanager
def checking_repository(settings: BackupSettings) -> Iterator[None]:
    """Check the structure of the repository beside what happens inside; RepositoryError if it is damaged."""
    # Without a lock: one that a killed restore left behind would forbid the next for half an hour.
    with (
        Path(os.devnull).open("wb") as nowhere,
        Restic(settings).writing_to(nowhere.fileno(), "check", "--no-lock"),
    ):
        yield


def verify_dump(repository: Repository, manifest: SetManifest, tell: Progress) -> None:
    """RepositoryError or HelperError if the dump of a set is damaged: every byte is read."""
    check_repository(repository.settings)
    with Path(os.devnull).open("wb") as nowhere:
        stream_dump(repository, manifest, nowhere.fileno(), tell.follow("reading the dump"))
