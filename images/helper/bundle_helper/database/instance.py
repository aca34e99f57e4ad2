"""Which data a folder belongs to: one random id, in the folder and beside Synapse's database.

A copied folder starts with empty volumes, and an empty server under an old name and signing key can
never speak with its old rooms again. So data is made only for a folder that never had any.
"""

from __future__ import annotations

import os
import re
import secrets
from typing import TYPE_CHECKING, Final

from ..errors import HelperError

if TYPE_CHECKING:
    import psycopg

    from ..settings.bootstrap_settings import BootstrapSettings

_ID: Final = re.compile(r"[0-9a-f]{32}")
# In the database `postgres`, which no dump of Synapse's database contains.
_TABLE: Final = "synapse_bundle_instance"


def agree(
    superuser: psycopg.Connection, settings: BootstrapSettings, *, has_data: bool
) -> tuple[str, ...]:
    """Make folder and data have the same id; return one sentence per change.

    `has_data` says that Synapse's database holds tables. `superuser` is connected to the database
    `postgres`. HelperError if the folder belongs to other data than this, or to data that is not here.
    """
    of_folder, of_data = _read_folder(settings), _read_data(superuser, settings.database_name)
    if of_folder and of_data not in {None, of_folder}:
        raise HelperError(
            "these volumes hold the data of another server: secrets/instance and the database have"
            " different ids. Nothing was changed. Give this folder its own `project` and volumes,"
            " or put the folder back that belongs to this data."
        )
    if of_folder and of_data is None and not has_data and not settings.start_empty:
        raise HelperError(_explain_missing(settings.server_name))
    known = of_data or ("" if settings.start_empty else of_folder)
    chosen = known or secrets.token_hex(16)
    changes = []
    if of_data is None:
        _write_data(superuser, settings.database_name, chosen)
        changes.append(
            "gave the database the id of this folder" if known else "made a new server id"
        )
    if of_folder != chosen:
        _write_folder(settings, chosen)
        changes.append("wrote the id of the database into secrets/instance")
    return tuple(changes)


def _explain_missing(server_name: str) -> str:
    return (
        f"this folder belongs to the server {server_name}, which has data, and the volumes here are"
        " empty. Nothing was changed. There are two ways to continue:\n"
        "1. Bring the volumes from the machine where the server ran, as README.md of this folder"
        " says under `Moving`, then `docker compose up -d`.\n"
        "2. Give up all its accounts, rooms and files for good, and start an empty server: other"
        " servers will refuse it in the rooms that it was in. To do so, type"
        f" `docker compose run --rm bootstrap start-empty {server_name}`, then"
        " `docker compose up -d`."
    )


def _read_folder(settings: BootstrapSettings) -> str:
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


def _write_folder(settings: BootstrapSettings, chosen: str) -> None:
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


def _read_data(superuser: psycopg.Connection, database: str) -> str | None:
    row = superuser.execute("SELECT to_regclass(%s)::text", (f"public.{_TABLE}",)).fetchone()
    if row is None or row[0] is None:
        return None
    query = f"SELECT id FROM public.{_TABLE} WHERE database = %s"  # noqa: S608 (a constant)
    found = superuser.execute(query, (database,)).fetchone()
    return str(found[0]) if found else None


def _write_data(superuser: psycopg.Connection, database: str, chosen: str) -> None:
    with superuser.transaction():
        superuser.execute(
            f"CREATE TABLE IF NOT EXISTS public.{_TABLE}"
            " (database text PRIMARY KEY, id text NOT NULL)"
        )
        statement = f"INSERT INTO public.{_TABLE} (database, id) VALUES (%s, %s)"  # noqa: S608
        superuser.execute(statement, (database, chosen))
