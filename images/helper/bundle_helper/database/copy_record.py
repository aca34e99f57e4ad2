"""Which copy of a folder uses an external database: a copied folder has the id of the data, and finds it from anywhere.

The copy is known by a random id in a volume, which nobody copies with the folder, and in a table that Synapse
does not know.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from .. import storage
from ..errors import HelperError

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from ..settings.bootstrap_settings import BootstrapSettings

_TABLE: Final = "synapse_bundle.copy"


def require_only(connection: psycopg.Connection, settings: BootstrapSettings, file: Path) -> None:
    """Record that the copy of `file` uses the data; HelperError, with what to type, if another one did last.

    `connection` is Synapse's role in its database, whose record of the data's id is there.
    """
    connection.execute("SET client_min_messages = warning")
    connection.execute(f"CREATE TABLE IF NOT EXISTS {_TABLE} (id text NOT NULL)")
    row = connection.execute(f"SELECT id FROM {_TABLE}").fetchone()  # noqa: S608
    own = _read_own(file)
    if row is None:
        connection.execute(f"INSERT INTO {_TABLE} VALUES (%s)", (own,))  # noqa: S608
    elif row[0] != own:
        release = f"DELETE FROM {_TABLE}"  # noqa: S608
        raise HelperError(
            f"another copy of this folder uses the database {settings.database_name}, and two that run at"
            " once would spoil it. Nothing was changed in it. If the other one is stopped for good, or this one"
            f" has lost its volumes, type in that database: `{release}`, then"
            " `docker compose up -d`."
        )


def _read_own(file: Path) -> str:
    if not file.exists():
        storage.write_json(file, {"copy": secrets.token_hex(16)})
    return str(storage.read_json(file).get("copy"))
