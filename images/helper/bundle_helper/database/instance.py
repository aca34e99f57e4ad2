"""Which data a folder belongs to: one random id, in the folder and beside Synapse's database.

A copied folder starts with empty volumes, and an empty server under an old name and signing key can
never speak with its old rooms again. So data is made only for a folder that never had any. Beside the
id stands whether the data has moved to another machine, or is only half restored: neither may start.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from ..errors import HelperError

if TYPE_CHECKING:
    import psycopg

    from ..settings.database_settings import DatabaseSettings

_ID: Final = re.compile(r"[0-9a-f]{32}")
_TABLE: Final = "synapse_bundle_instance"
# In the database `postgres`, which no dump of Synapse's database contains; of an external one Synapse's role
# has nothing but its own database, and this schema there, of which Synapse knows nothing.
_BESIDE: Final = "public"
_INSIDE: Final = "synapse_bundle"
_COLUMNS: Final = (
    *("epoch bigint NOT NULL DEFAULT 1", "moved text", "restoring text"),
    *("overtaken text", "importing text"),
)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """When a server was fenced (ISO 8601, UTC) and the final set; "" while that is being made.

    `retired`: it goes nowhere, and `set` is its last one, "" if none was wanted. `postgres` is the version
    of PostgreSQL that carries its data on, "" for another machine.
    """

    time: str
    set: str
    retired: bool = False
    postgres: str = ""


@dataclass(frozen=True, kw_only=True)
class InstanceRecord:
    """What stands beside Synapse's database; `epoch` counts how often the server changed its place."""

    id: str
    epoch: int
    moved: Moved | None = None
    # The set that is being restored.
    restoring: str | None = None
    # When another copy was found to have claimed the server's name (ISO 8601, UTC).
    overtaken: str | None = None
    # The server that is being imported.
    importing: str | None = None

    @property
    def hash(self) -> str:
        """What may be known of the id outside: a SHA-256 of it."""
        return hashlib.sha256(self.id.encode()).hexdigest()


def create_id() -> str:
    """Return an id that no other data has: 128 random bits in hexadecimal."""
    return secrets.token_hex(16)


def read_folder(settings: DatabaseSettings) -> str:
    """Return the id in secrets/instance, "" before the first start; HelperError if it is damaged."""
    try:
        text = settings.instance_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HelperError(
            f"secrets/instance cannot be read ({error}); run `make generate`,"
            " then `docker compose up -d`"
        ) from error
    if text and not _ID.fullmatch(text):
        raise HelperError(
            "secrets/instance must hold 32 hexadecimal digits, or nothing before the first start;"
            " put it back from a copy of this folder"
        )
    return text


def write_folder(settings: DatabaseSettings, chosen: str) -> None:
    """Write the id into secrets/instance; HelperError if that cannot be written."""
    try:
        # In place: the file is mounted, so it cannot be replaced by a rename.
        with settings.instance_file.open("r+", encoding="ascii") as file:
            file.write(f"{chosen}\n")
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise HelperError(
            f"secrets/instance cannot be written ({error.strerror}): its mode must be 0666, in a"
            " directory that is yours alone. Run `make generate`, then `docker compose up -d`."
        ) from error


def read_record(superuser: psycopg.Connection, database: str) -> InstanceRecord | None:
    """Return what is known of the data in `database`, or None if it has no id yet.

    `superuser` is connected to the database `postgres`, or as Synapse's role to `database`.
    """
    table = _place(superuser, database)
    row = superuser.execute("SELECT to_regclass(%s)::text", (table,)).fetchone()
    if row is None or row[0] is None:
        return None
    # As JSON: a table from before there were the other columns is read as it is.
    query = f"SELECT to_jsonb(i) FROM {table} AS i WHERE database = %s"  # noqa: S608
    found = superuser.execute(query, (database,)).fetchone()
    if found is None:
        return None
    values = found[0]
    return InstanceRecord(
        id=values["id"],
        epoch=values.get("epoch", 1),
        moved=Moved(**json.loads(values["moved"])) if values.get("moved") else None,
        restoring=values.get("restoring"),
        overtaken=values.get("overtaken"),
        importing=values.get("importing"),
    )


def write_record(superuser: psycopg.Connection, database: str, record: InstanceRecord) -> None:
    """Make `record` what is known of the data in `database`, in one transaction."""
    moved = record.moved and json.dumps(asdict(record.moved))
    table = _place(superuser, database)
    with superuser.transaction():
        superuser.execute("SET LOCAL client_min_messages = warning")
        if table.startswith(_INSIDE):
            superuser.execute(f"CREATE SCHEMA IF NOT EXISTS {_INSIDE}")
        superuser.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (database text PRIMARY KEY, id text NOT NULL)"
        )
        for column in _COLUMNS:
            superuser.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}")
        superuser.execute(
            f"INSERT INTO {table} (database, id, epoch, moved, restoring,"  # noqa: S608
            " overtaken, importing) VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (database) DO UPDATE"
            " SET (id, epoch, moved, restoring, overtaken, importing) = ROW(excluded.id, excluded.epoch,"
            " excluded.moved, excluded.restoring, excluded.overtaken, excluded.importing)",
            (
                *(database, record.id, record.epoch, moved),
                *(record.restoring, record.overtaken, record.importing),
            ),
        )


def _place(connection: psycopg.Connection, database: str) -> str:
    """Return the table of the record, with its schema, in the database that `connection` is in."""
    schema = _INSIDE if connection.info.dbname == database else _BESIDE
    return f"{schema}.{_TABLE}"
