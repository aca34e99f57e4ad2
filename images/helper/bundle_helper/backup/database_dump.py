"""The database of a set: one snapshot of PostgreSQL's, which is hashed and dumped at the same time.

Synapse changes its tables while it runs: after an upgrade, and in the background. Such a change waits for
the first of the two transactions here, and the second one waits behind it, for ever. So the first
transaction locks every table before it sees anything, the second one waits only for seconds, and then
both give way and the set is begun again.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from .. import storage
from ..database.connection import SUPERUSER, connect, first_line
from ..errors import HelperError
from .manifest import ONE_TIME_KEYS
from .restic import Producer
from .table_hashes import list_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..settings.backup_settings import BackupSettings
    from ..settings.environment import Secret


# Milliseconds: longer than any change of a table that finds it free.
LOCK_WAIT: Final = 10_000


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """The database as one transaction sees it, which lasts as long as `connection` is not used up."""

    connection: psycopg.Connection
    snapshot: str
    server_version: str
    schema_version: int
    compat_version: int


@contextmanager
def freeze(settings: BackupSettings) -> Iterator[Frozen]:
    """Hold Synapse's database as it is now; HelperError if Synapse has made no tables in it."""
    database = settings.database
    with connect(
        database, SUPERUSER, database.superuser_password, database.database_name
    ) as connection:
        tables = list_tables(connection)
        # Its hashes take one processor at a time, and leave the others to Synapse.
        connection.execute("SET max_parallel_workers_per_gather = 0")
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(LOCK_WAIT))
        if tables:
            names = sql.SQL(", ").join(sql.Identifier("public", name) for name in tables)
            connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(names))
        row = connection.execute(
            "SELECT pg_export_snapshot(), current_setting('server_version'),"
            " to_regclass('public.schema_version') IS NOT NULL"
        ).fetchone()
        snapshot, version, has_tables = row or ("", "", False)
        if not has_tables:
            raise HelperError(
                f"Synapse has not made its tables in the database {database.database_name} yet, so"
                " there is nothing to back up: `docker compose up -d --wait`, then repeat"
            )
        yield Frozen(
            connection=connection,
            snapshot=snapshot,
            server_version=version,
            schema_version=_read_number(connection, "version", "schema_version"),
            compat_version=_read_number(connection, "compat_version", "schema_compat_version"),
        )


def _read_number(connection: psycopg.Connection, column: str, table: str) -> int:
    query = sql.SQL("SELECT {} FROM public.{}").format(
        sql.Identifier(column), sql.Identifier(table)
    )
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def read_sequences(connection: psycopg.Connection) -> dict[str, int]:
    """Return the last value of each sequence, from itself: a view shows none for an unused one."""
    names = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'S'"
        " AND relnamespace = 'public'::regnamespace ORDER BY relname"
    ).fetchall()
    return {name: _read_number(connection, "last_value", name) for (name,) in names}


def prepare_dump(settings: BackupSettings, frozen: Frozen, *, one_time_keys: bool) -> Producer:
    """Return the `pg_dump` of a frozen database; HelperError if it is of another version than the server.

    A `pg_dump` of another release can make a dump that no server takes back.
    """
    environment = prepare_client(settings)
    _require_version(frozen.server_version, environment)
    database = settings.database
    left_out = [] if one_time_keys else [f"--exclude-table-data=public.{ONE_TIME_KEYS}"]
    arguments = [
        *("pg_dump", "--format=custom", "--compress=0", f"--snapshot={frozen.snapshot}"),
        *(f"--lock-wait-timeout={LOCK_WAIT}", "--no-password", *left_out),
        *("--host", database.database_host, "--port", str(database.database_port)),
        *("--username", SUPERUSER, "--dbname", database.database_name),
    ]
    return Producer(arguments, environment)


def prepare_client(
    settings: BackupSettings, user: str = SUPERUSER, password: Secret | None = None
) -> dict[str, str]:
    """Write the file with a user's password, and return the environment of PostgreSQL's programs.

    Without a user it is the superuser.
    """
    # In a cluster a backup and a drill may run in one container, each with a server of its own.
    passwords = settings.runtime_directory / f"pgpass-{os.getpid()}"
    secret = (password or settings.database.superuser_password).reveal()
    escaped = secret.replace("\\", "\\\\").replace(":", "\\:")
    storage.replace(passwords, f"*:*:*:{user}:{escaped}\n".encode(), 0o600)
    return {"PATH": os.environ["PATH"], "PGPASSFILE": str(passwords)}


def _require_version(server: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["pg_dump", "--version"], env=environment, capture_output=True, text=True, check=True
    )
    own, expected = (
        text.split(maxsplit=1)[0]
        for text in (done.stdout.removeprefix("pg_dump (PostgreSQL) "), server)
    )
    if own != expected:
        raise HelperError(
            f"pg_dump is of version {own} and the server of {expected}: bring this image up to"
            " date with `docker compose build --pull backup`, `docker compose up -d`, then repeat"
        )


def describe_failure(error: psycopg.Error) -> HelperError:
    """Return what a failure of the database means for a set."""
    return HelperError(
        f"the database failed while it was read: {first_line(error)}. No set was made; see"
        " `docker compose logs postgres`, then repeat."
    )
