"""For which folder the data was proved last: in the comment on Synapse's database, which its own role can read.

A cluster starts Synapse beside the bootstrap, and the id of the data is where Synapse's role cannot look. No
restore of a dump brings the comment back, so restored data is proved anew.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from psycopg import sql

from .connection import connect

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from ..settings.database_settings import DatabaseSettings

_MARK: Final = re.compile(r" ?\[synapse-bundle folder ([0-9a-f]{64})\]")


def name_folder(file: Path) -> str:
    """Return what may be known of the id that a converted folder has in `file`, "" of an id included."""
    return hashlib.sha256(file.read_bytes().strip()).hexdigest()


def read_mark(connection: psycopg.Connection, database: str) -> str:
    """Return the folder that `database` was proved for, as `name_folder` names it; "" for none."""
    found = _MARK.search(_read_comment(connection, database))
    return found[1] if found else ""


def mark_proved(settings: DatabaseSettings, file: Path) -> None:
    """Write that the data was proved for the folder of `file`, and keep what else the comment says."""
    name = settings.database_name
    with connect(settings, settings.database_role, settings.role_password, name) as role:
        found = _read_comment(role, name)
        wanted = f"{_MARK.sub('', found)} [synapse-bundle folder {name_folder(file)}]".strip()
        if wanted != found:
            statement = sql.SQL("COMMENT ON DATABASE {} IS {}")
            role.execute(statement.format(sql.Identifier(name), sql.Literal(wanted)))


def _read_comment(connection: psycopg.Connection, database: str) -> str:
    query = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
    row = connection.execute(query, (database,)).fetchone()
    return (row and row[0]) or ""
