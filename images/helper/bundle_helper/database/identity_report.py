"""What may be known of the data outside the database: a hash of its id, and how often it was restored."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import psycopg

# As JSON: a table from before there were epochs has no such column.
_QUERY: Final = "SELECT to_jsonb(i) FROM public.synapse_bundle_instance AS i WHERE database = %s"
_FIRST_EPOCH: Final = 1


def describe_identity(superuser: psycopg.Connection, database: str) -> dict[str, object]:
    """Return `instance`, a SHA-256 of the id of the data in `database`, and its `epoch`.

    `superuser` is connected to the database `postgres`, and folder and data agree already.
    """
    row = superuser.execute(_QUERY, (database,)).fetchone()
    values = row[0] if row else {}
    return {
        "instance": hashlib.sha256(str(values["id"]).encode()).hexdigest(),
        "epoch": values.get("epoch", _FIRST_EPOCH),
    }
