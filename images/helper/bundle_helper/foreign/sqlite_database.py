"""Synapse's tables in an SQLite database: whether they are whole, and whether all of them arrived."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Final

from psycopg import sql

from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg

# What synapse_port_db leaves out, or makes anew: its IGNORED_TABLES, the search indexes, which are of
# another kind in PostgreSQL, and transactions of the last day alone.
_NOT_COPIED: Final = frozenset(
    (
        *("user_directory", "users_who_share_private_rooms", "users_in_public_rooms"),
        *("ui_auth_sessions", "ui_auth_sessions_credentials", "ui_auth_sessions_ips"),
        *("worker_read_write_locks", "worker_read_write_locks_mode", "user_directory_stream_pos"),
        *("schema_version", "applied_schema_deltas", "background_updates", "sent_transactions"),
    )
)
_SEARCH: Final = ("user_directory_search", "event_search", "sqlite_")
_SAMPLE: Final = 5


@contextlib.contextmanager
def open_copy(copy: Path) -> Iterator[sqlite3.Connection]:
    """Open the copy of a database; HelperError if it is not one, or is damaged."""
    try:
        with contextlib.closing(sqlite3.connect(copy)) as connection:
            # Another program may have written what is not UTF-8.
            connection.text_factory = lambda data: data.decode(errors="replace")
            yield connection
    except sqlite3.DatabaseError as error:
        raise HelperError(f"its database cannot be read: {error}. Nothing was changed.") from error


def list_faults(connection: sqlite3.Connection) -> Iterator[str]:
    """Yield a sentence for each reason why a database cannot be imported."""
    if not _has_table(connection, "schema_version") or not _has_table(connection, "events"):
        yield "its database has none of Synapse's tables: is it the right file?"
        return
    [[verdict]] = connection.execute("PRAGMA integrity_check(1)").fetchall()
    if verdict != "ok":
        yield (
            f"its database is damaged ({verdict}), as a copy of a running server is. Stop Synapse and"
            " take the file itself, or a copy made then"
        )
    # Of synapse_port_db: it goes by row numbers, which vacuuming changes.
    [[vacuum]] = connection.execute("PRAGMA auto_vacuum").fetchall()
    if vacuum:
        yield (
            "its database vacuums itself, which renumbers rows while they are read. Stop Synapse and type"
            " `sqlite3 homeserver.db 'PRAGMA auto_vacuum = 0; VACUUM;'`"
        )
    [[pending]] = connection.execute("SELECT count(*) FROM background_updates").fetchall()
    if pending:
        yield (
            f"Synapse has {pending} background updates to do in its database. Start it again where it is,"
            " and wait: a small server needs some minutes. They are done when this refuses no longer"
        )


def count_rows(connection: sqlite3.Connection, *tables: str) -> dict[str, int]:
    """Return the number of rows of tables."""
    return {
        name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608
        for name in tables
    }


def compare_rows(
    connection: sqlite3.Connection, target: psycopg.Connection, tell: Callable[[str], None]
) -> list[str]:
    """Return a line for each table of which PostgreSQL does not have every row.

    `tell` hears of the rows that it cannot have, which synapse_port_db leaves out.
    """
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    differences = []
    for (name,) in names.fetchall():
        if name in _NOT_COPIED or name.startswith(_SEARCH):
            continue
        arrived = _count_arrived(target, name)
        expected = count_rows(connection, name)[name]
        if arrived is None and expected:
            tell(f"{name}: left out, because Synapse knows no such table")
        if arrived in {None, expected}:
            continue
        storable = _count_storable(connection, name)
        if arrived != storable:
            differences.append(f"the table {name} has {arrived} rows, not {storable}")
        else:
            tell(f"{name}: left out {expected - storable} rows with a zero byte in a text")
    return differences


def _count_arrived(target: psycopg.Connection, name: str) -> int | None:
    row = target.execute("SELECT to_regclass(%s)", (f'public."{name}"',)).fetchone()
    if row is None or row[0] is None:
        return None
    query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", name))
    counted = target.execute(query).fetchone()
    return int(counted[0]) if counted else 0


def _count_storable(connection: sqlite3.Connection, name: str) -> int:
    """Return how many rows have no text with a zero byte in it, which PostgreSQL refuses."""
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
    zero = " OR ".join(
        f'(typeof("{column}") = \'text\' AND instr("{column}", char(0)) > 0)' for column in columns
    )
    query = f'SELECT count(*) FROM "{name}" WHERE NOT ({zero})'  # noqa: S608
    return int(connection.execute(query).fetchone()[0])


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (name,)).fetchone() is not None
