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

    from ..settings.bootstrap_settings import BootstrapSettings
    from ..settings.database_settings import DatabaseSettings

_ID: Final = re.compile(r"[0-9a-f]{32}")
_TABLE: Final = "synapse_bundle_instance"
# In the database `postgres`, which no dump of Synapse's database contains; of an external one Synapse's role
# has nothing but its own database, and this schema there, of which Synapse knows nothing.
_BESIDE: Final = "public"
_INSIDE: Final = "synapse_bundle"
_COLUMNS: Final = (
    *("epoch bigint NOT NULL DEFAULT 1", "moved text", "restoring text"),
    "overtaken text",
)


@dataclass(frozen=True, kw_only=True)
class Moved:
    """When a server was fenced (ISO 8601, UTC) and the final set; "" while that is being made.

    `postgres` is the version of PostgreSQL that carries its data on, "" for another machine.
    """

    time: str
    set: str
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

    @property
    def hash(self) -> str:
        """What may be known of the id outside: a SHA-256 of it."""
        return hashlib.sha256(self.id.encode()).hexdigest()


def create_id() -> str:
    """Return an id that no other data has: 128 random bits in hexadecimal."""
    return secrets.token_hex(16)


def agree(
    superuser: psycopg.Connection, settings: BootstrapSettings, *, has_data: bool
) -> tuple[str, ...]:
    """Make folder and data have the same id; return one sentence per change.

    `has_data` says that Synapse's database holds tables. `superuser` is connected to the database
    `postgres`, or as Synapse's role to an external one. HelperError if the folder belongs to other data than this, or to data that is not here.
    """
    record = read_record(superuser, settings.database_name)
    if record is not None:
        _refuse_unusable(record)
    of_folder, of_data = read_folder(settings), record and record.id
    if of_folder and of_data not in {None, of_folder}:
        raise HelperError(_explain_other(settings))
    if of_folder and of_data is None and not has_data and not settings.start_empty:
        raise HelperError(_explain_missing(settings))
    known = of_data or ("" if settings.start_empty else of_folder)
    chosen = known or create_id()
    changes = []
    if of_data is None:
        write_record(superuser, settings.database_name, InstanceRecord(id=chosen, epoch=1))
        changes.append(
            "gave the database the id of this folder" if known else "made a new server id"
        )
        if settings.start_empty and settings.claim_directory is not None:
            changes.append(_explain_claim(settings.server_name))
    if of_folder != chosen:
        write_folder(settings, chosen)
        changes.append("wrote the id of the database into secrets/instance")
    return tuple(changes)


def _refuse_unusable(record: InstanceRecord) -> None:
    if record.restoring:
        raise HelperError(
            f"a restore of the set {record.restoring} was interrupted, so the data here is not whole."
            " Nothing was changed. Run `docker compose run --rm restore` again,"
            " then `docker compose up -d`."
        )
    if record.moved and record.moved.postgres:
        raise HelperError(
            f"this data has been on its way to PostgreSQL {record.moved.postgres} since {record.moved.time}."
            " Nothing was changed. Go on with `synapse-bundle upgrade-database`, or go back with"
            " `synapse-bundle upgrade-database --undo`."
        )
    if record.moved:
        raise HelperError(
            f"this server moved to another machine on {record.moved.time}. Nothing was changed. If it"
            " runs there, leave it stopped here. The way back, as long as nobody has restored it"
            " elsewhere: `docker compose run --rm backup move --undo`, then `docker compose up -d`."
        )


def _explain_other(settings: DatabaseSettings) -> str:
    place, remedy = "these volumes hold", "its own `project` and volumes"
    if settings.external:
        place, remedy = f"the database {settings.database_name} holds", "a database of its own"
    return (
        f"{place} the data of another server: secrets/instance and the database have"
        f" different ids. Nothing was changed. Give this folder {remedy},"
        " or put the folder back that belongs to this data."
    )


def _explain_missing(settings: DatabaseSettings) -> str:
    server_name, place = settings.server_name, "the volumes here are"
    remedy = "Restore the data: `docker compose run --rm restore`"
    if settings.external:
        name = settings.database_name
        place = f"the database {name} at {settings.database_host} is"
        remedy = (
            f"Copy the data into it: `pg_dump -Fc` of the old one, `pg_restore --no-owner -d {name}`"
            f" as the role {settings.database_role}"
        )
    return (
        f"this folder belongs to the server {server_name}, which has data, and {place}"
        " empty. Nothing was changed. There are two ways to continue:\n"
        f"1. {remedy}, then `docker compose up -d`.\n"
        "2. Give up all its accounts, rooms and files for good, and start an empty server: other"
        " servers will refuse it in the rooms that it was in. To do so, type"
        f" `docker compose run --rm bootstrap start-empty {server_name}`, then"
        " `docker compose up -d`."
    )


def _explain_claim(server_name: str) -> str:
    return (
        "the former server's claim to its name may still be in DNS, and keeps this one from serving."
        " Once it has started with `docker compose up -d`, type"
        f" `docker compose exec helper claim take {server_name}`, which takes half a minute"
    )


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
            f"INSERT INTO {table} (database, id, epoch, moved, restoring, overtaken)"  # noqa: S608
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (database) DO UPDATE SET id = excluded.id,"
            " epoch = excluded.epoch, moved = excluded.moved, restoring = excluded.restoring,"
            " overtaken = excluded.overtaken",
            (database, record.id, record.epoch, moved, record.restoring, record.overtaken),
        )


def _place(connection: psycopg.Connection, database: str) -> str:
    """Return the table of the record, with its schema, in the database that `connection` is in."""
    schema = _INSIDE if connection.info.dbname == database else _BESIDE
    return f"{schema}.{_TABLE}"
