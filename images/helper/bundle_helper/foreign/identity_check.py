"""Whether a database is that of the server whose name and signing key are beside it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .carried_secrets import CarriedSecrets

# How many of the last events are looked at for one of this server's own.
_EVENTS: Final = 2000


class QueriedDatabase(Protocol):
    """A connection of sqlite3's or of psycopg's."""

    def execute(self, query: str, /) -> Any:
        """Run a query; its rows can be iterated."""


def list_faults(
    database: QueriedDatabase, server_name: str, secrets: CarriedSecrets
) -> Iterator[str]:
    """Yield a sentence for each thing that shows another server, or another key."""
    own = f":{server_name}"
    for (name,) in database.execute("SELECT name FROM users"):
        if not name.endswith(own):
            yield f"its database has the user {name}, who is not of {server_name}"
            break
    yield from _find_foreign_key(database, server_name, secrets)
    used = _read_last_keys(database, server_name)
    if used and not used & secrets.key_ids:
        yield (
            f"its last events are signed with the key {min(used)}, and the file has {next(iter(secrets.public_keys))}:"
            " put the signing key back that belongs to this database"
        )


def _find_foreign_key(
    database: QueriedDatabase, server_name: str, secrets: CarriedSecrets
) -> Iterator[str]:
    known = secrets.public_keys
    query = "SELECT server_name, key_id, verify_key FROM server_signature_keys"
    for name, key_id, verify_key in database.execute(query):
        if name == server_name and bytes(verify_key) != known.get(key_id, bytes(verify_key)):
            yield (
                f"its database knows another key of the name {key_id} than the file holds: put the signing"
                " key back that belongs to this database"
            )


def _read_last_keys(database: QueriedDatabase, server_name: str) -> frozenset[str]:
    """Return the ids of the keys that signed the last event of the server's own, none where it has none."""
    query = (
        "SELECT e.sender, j.json FROM events AS e JOIN event_json AS j ON j.event_id = e.event_id"  # noqa: S608
        f" ORDER BY e.stream_ordering DESC LIMIT {_EVENTS}"
    )
    for sender, text in database.execute(query):
        if sender.endswith(f":{server_name}"):
            return frozenset(json.loads(text).get("signatures", {}).get(server_name, ()))
    return frozenset()
