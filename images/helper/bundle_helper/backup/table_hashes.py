"""Row count and hash of each table: what proves that a restored database is the one that was dumped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    import psycopg

_INTEGERS: Final = frozenset({"smallint", "integer", "bigint"})
# How values of all other types are written as text, which is hashed.
_FORMATS: Final = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
}
_HASH_OF_TEXT: Final = sql.SQL("hashtextextended(t::text, 0)")


@dataclass(frozen=True, kw_only=True)
class TableHash:
    """The number of a table's rows, and the sum of their 64-bit hashes, which no order changes."""

    rows: int
    hash: str


def hash_tables(
    connection: psycopg.Connection, skip: Collection[str] = (), *, as_text: bool = False
) -> dict[str, TableHash]:
    """Return the hash of every table of the schema `public`, except those in `skip`.

    It changes how the session writes dates and numbers. The hashes are made of the functions that hash
    partitioning relies on, so they are the same in every major version of PostgreSQL. `as_text` returns
    what sets of the first format hold: there a row was hashed as one text, which takes five times as long.
    """
    for name, value in _FORMATS.items():
        connection.execute("SELECT set_config(%s, %s, false)", (name, value))
    return {
        name: _hash_table(connection, name, _HASH_OF_TEXT if as_text else _hash_columns(columns))
        for name, columns in _list_columns(connection).items()
        if name not in skip
    }


def list_tables(connection: psycopg.Connection) -> list[str]:
    """Return the names of all tables of the schema `public`, sorted."""
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
        " AND relnamespace = 'public'::regnamespace ORDER BY relname"
    ).fetchall()
    return [name for (name,) in rows]


def _hash_table(connection: psycopg.Connection, name: str, row_hash: sql.Composable) -> TableHash:
    row = connection.execute(
        sql.SQL("SELECT count(*), COALESCE(sum({}), 0)::text FROM {} AS t").format(
            row_hash, sql.Identifier("public", name)
        )
    ).fetchone()
    rows, found = row or (0, "0")
    return TableHash(rows=rows, hash=found)


def _list_columns(connection: psycopg.Connection) -> dict[str, list[tuple[str, str]]]:
    """Return the names and types of each table's columns, in their order; a table may have none."""
    found: dict[str, list[tuple[str, str]]] = {name: [] for name in list_tables(connection)}
    rows = connection.execute(
        "SELECT relname, attname, format_type(atttypid, NULL)"
        " FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
        " WHERE relname = ANY(%s) AND relnamespace = 'public'::regnamespace"
        " AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        (list(found),),
    ).fetchall()
    for table, column, kind in rows:
        found[table].append((column, kind))
    return found


def _hash_columns(columns: Iterable[tuple[str, str]]) -> sql.Composable:
    # Each column has a seed of its own, else values that two columns have exchanged would not show.
    hashes = [
        sql.SQL(
            "COALESCE(hashint8extended(t.{}, {}), 0)"
            if kind in _INTEGERS
            else 'COALESCE(hashtextextended(t.{}::text COLLATE "C", {}), 0)'
        ).format(sql.Identifier(column), sql.Literal(seed))
        for seed, (column, kind) in enumerate(columns, start=1)
    ]
    return sql.SQL(" # ").join(hashes) if hashes else sql.Literal(0)


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
