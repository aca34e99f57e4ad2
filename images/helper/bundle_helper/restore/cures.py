"""What an old database needs before Synapse starts on it.

Clients hold positions in the server's streams. In a database older than they are the streams start
again lower: Synapse then takes a client's position for one from the future, and skips every message up to
it without a word (`bound_future_token` in synapse/streams/events.py). So every stream starts higher than any
client can have seen. A one-time key may be given out only once, and which were is not known any more;
of a fallback key a device keeps the present one and the one before, and makes a new one each week.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from psycopg import sql

from ..backup.database_dump import read_sequences
from ..backup.manifest import ONE_TIME_KEYS

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from ..backup.manifest import SetManifest

_ADVANCE: Final = 1_000_000
_FALLBACK_KEYS: Final = "e2e_fallback_keys_json"
_FALLBACK_KEY_AGE: Final = timedelta(days=7)


def cure(connection: psycopg.Connection, manifest: SetManifest, now: datetime) -> tuple[str, ...]:
    """Make a database that is older than its clients safe for them; return what was done.

    In one transaction, and only once for each time that the dump was loaded.
    """
    with connection.transaction():
        sequences = read_sequences(connection)
        for name, value in sequences.items():
            connection.execute(
                sql.SQL("SELECT setval({}, %s, true)").format(
                    sql.Literal(f"public.{sql.Identifier(name).as_string(connection)}")
                ),
                (value + _ADVANCE,),
            )
        changes = [f"advanced {len(sequences)} sequences by {_ADVANCE:,}"]
        changes += _empty(connection, ONE_TIME_KEYS)
        if now - manifest.time > _FALLBACK_KEY_AGE:
            changes += _empty(connection, _FALLBACK_KEYS)
    return tuple(changes)


def _empty(connection: psycopg.Connection, table: str) -> list[str]:
    row = connection.execute("SELECT to_regclass(%s)", (f"public.{table}",)).fetchone()
    if row is None or row[0] is None:
        return []
    connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("public", table)))
    return [f"emptied {table}"]
