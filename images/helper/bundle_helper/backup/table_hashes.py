"""Row count and hash of each table: what proves that a restored database is the one that was dumped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    import psycopg

# How values are written as text: the hash of a row is that of its text.
_FORMATS: Final = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}


@dataclass(frozen=True, kw_only=True)
class TableHash:
    """The number of a table's rows, and the sum of their 64-bit hashes, which no order changes."""

    rows: int
    hash: str


def hash_tables(connection: psycopg.Connection, skip: Collection[str] = ()) -> dict[str, TableHash]:
    """Return the hash of every table of the schema `public`, except those in `skip`.

    It changes how the session writes dates and numbers. The hash is the function that hash
    partitioning relies on, so it is the same in every major version of PostgreSQL.
    """
    for name, value in _FORMATS.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    return {
        name: _hash_table(connection, name) for name in list_tables(connection) if name not in skip
    }


def list_tables(connection: psycopg.Connection) -> list[str]:
    """Return the names of all tables of the schema `public`, sorted."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND relnamespace = 'public'::regnamespace ORDER BY relname"
    ).fetchall()
    return [name for (name,) in rows]


def _hash_table(connection: psycopg.Connection, name: str) -> TableHash:
    row = connection.execute(
        sql.SQL(
            "SELECT count(*), COALESCE(sum(hashtextextended(t::text, 0)), 0)::text FROM {} AS t"
        ).format(sql.Identifier("public", name))
    ).fetchone()
    rows, found = row or (0, "0")
    return TableHash(rows=rows, hash=found)


def list_differences(
    expected: Mapping[str, TableHash], found: Mapping[str, TableHash]
) -> list[str]:
    """Return one line for each table that is not as expected."""
    lines = [_compare(name, expected[name], found.get(name)) for name in sorted(expected)]
    surplus = [f"the table {name} is not in the set" for name in sorted(found.keys() - expected)]
    return [line for line in lines if line] + surplus


def _compare(name: str, expected: TableHash, found: TableHash | None) -> str | None:
    if found is None:
        return f"the table {name} is missing"
    if found.rows != expected.rows:
        return f"the table {name} has {found.rows} rows, not {expected.rows}"
    if found.hash != expected.hash:
        return f"the table {name} has the right number of rows, {found.rows}, but not their content"
    return None
