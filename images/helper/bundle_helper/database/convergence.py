"""Synapse's role and database: made if missing, repaired where that is safe, proved at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from ..errors import HelperError
from . import agreement, fence
from .catalog import (
    LEAST_PRIVILEGED,
    Database,
    Role,
    read_database,
    read_members,
    read_memberships,
    read_role,
    wanted_database,
)
from .connection import SUPERUSER, connect, first_line
from .role import ensure_role

if TYPE_CHECKING:
    from ..settings.bootstrap_settings import BootstrapSettings
    from ..settings.database_settings import DatabaseSettings

# Any constant will do, as long as every bootstrap of every version takes the same one.
_LOCK: Final = 0x53594E4150534542
_LOCK_PATIENCE: Final = "120s"
SIGN_IN_HINT: Final = "psql asks for the password in secrets/postgres_password."


@dataclass(frozen=True, kw_only=True)
class DatabaseProof:
    """What the role itself saw after logging in to its database.

    `encryption` is libpq's word for how an external database is reached, "" for the bundle's own.
    """

    role: str
    privileges: Role
    memberships: tuple[str, ...]
    members: tuple[str, ...]
    database: str
    properties: Database
    server_version: str
    encryption: str = ""


def converge(superuser: psycopg.Connection, settings: BootstrapSettings) -> tuple[str, ...]:
    """Bring role and database to the wanted state; return one sentence per change.

    Runs one at a time by an advisory lock. OvertakenError if another copy is the server; HelperError, with
    instructions, if the database exists with properties that only a dump and restore can change: nothing is
    ever dropped.
    """
    lock(superuser)
    changes = (
        *fence.reopen(superuser, settings),
        *agreement.agree(superuser, settings, has_data=has_tables(superuser, settings)),
        *ensure_role(superuser, settings),
        *ensure_database(superuser, settings),
    )
    revoke_public(superuser, settings)
    return changes


def prove(settings: DatabaseSettings) -> DatabaseProof:
    """Log in as the role and return what it finds; HelperError if anything is not as wanted."""
    role, name = settings.database_role, settings.database_name
    try:
        with connect(settings, role, settings.role_password, name) as connection:
            proof = read_proof(connection, settings)
    except psycopg.Error as error:
        raise HelperError(
            f"the role {role} cannot use the database {name}: {first_line(error)}."
            " See `docker compose logs postgres`, then `docker compose up -d`.",
        ) from error
    least = proof.privileges == LEAST_PRIVILEGED and not proof.memberships
    if not least or proof.properties != wanted_database(role):
        raise HelperError(f"role and database are not as they should be: {asdict(proof)}")
    return proof


def read_proof(connection: psycopg.Connection, settings: DatabaseSettings) -> DatabaseProof:
    """Return what the catalog says of role and database, as `connection` sees it."""
    role = read_role(connection, settings.database_role)
    database = read_database(connection, settings.database_name)
    if role is None or database is None:
        raise HelperError("role or database vanished while they were read; start again")
    return DatabaseProof(
        role=settings.database_role,
        privileges=role,
        memberships=tuple(
            granted for granted, _ in read_memberships(connection, settings.database_role)
        ),
        members=read_members(connection, settings.database_role),
        database=settings.database_name,
        properties=database,
        server_version=connection.info.parameter_status("server_version") or "",
        encryption=settings.external.sslmode if settings.external else "",
    )


def revoke_public(superuser: psycopg.Connection, settings: DatabaseSettings) -> None:
    """Leave no privilege on a database to a role that was not given it."""
    for database in (settings.database_name, "postgres", "template1"):
        superuser.execute(
            sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
        )


def has_tables(superuser: psycopg.Connection, settings: DatabaseSettings) -> bool:
    """Say whether Synapse's database exists and holds a table."""
    if read_database(superuser, settings.database_name) is None:
        return False
    name = settings.database_name
    with connect(settings, SUPERUSER, settings.superuser_password, name) as connection:
        return holds_tables(connection)


def holds_tables(connection: psycopg.Connection) -> bool:
    """Say whether the database that `connection` is in holds a table where Synapse makes its own."""
    query = "SELECT FROM pg_tables WHERE schemaname = 'public' LIMIT 1"
    return connection.execute(query).fetchone() is not None


def lock(superuser: psycopg.Connection, patience: str = _LOCK_PATIENCE) -> None:
    """Let no other bootstrap, move or restore run until `superuser` ends; HelperError if one does."""
    superuser.execute(sql.SQL("SET lock_timeout = {}").format(patience))
    try:
        superuser.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    except psycopg.errors.LockNotAvailable as error:
        raise HelperError(
            f"another bootstrap, move or restore has held its lock for {patience}. Look for it with"
            " `docker compose ps -a`; wait for its end or stop it, then run this again.",
        ) from error


def ensure_database(superuser: psycopg.Connection, settings: DatabaseSettings) -> tuple[str, ...]:
    """Make Synapse's database if there is none; HelperError if Synapse could not use the one found."""
    name, role = settings.database_name, settings.database_role
    found = read_database(superuser, name)
    if found is None:
        # FILE_COPY: the template's pages need not pass through memory that is never given back.
        superuser.execute(
            sql.SQL(
                "CREATE DATABASE {} OWNER {} TEMPLATE template0 STRATEGY FILE_COPY ENCODING 'UTF8'"
                " LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
            ).format(sql.Identifier(name), sql.Identifier(role))
        )
        return (f"created the database {name}",)
    _check_usable(name, found, wanted_database(role))
    return ()


def _check_usable(name: str, found: Database, wanted: Database) -> None:
    differences = describe_differences(found, wanted)
    if not differences:
        return
    raise HelperError(
        f"the database {name} exists and Synapse cannot use it: {differences}. Nothing in it was"
        " changed, and nothing is ever dropped here.\n" + _advise(name, found, wanted)
    )


def describe_differences(found: Database, wanted: Database) -> str:
    """Return what of a database is not as it must be, "" if nothing is."""
    return ", ".join(
        f"{key} is {value} and must be {asdict(wanted)[key]}"
        for key, value in asdict(found).items()
        if value != asdict(wanted)[key]
    )


def _advise(name: str, found: Database, wanted: Database) -> str:
    psql = "docker compose exec postgres psql -U postgres -c"
    if (found.encoding, found.collation, found.ctype, found.provider) == (
        wanted.encoding,
        wanted.collation,
        wanted.ctype,
        wanted.provider,
    ):
        return (
            f"If it is Synapse's own database, give it to the role: `{psql} 'ALTER DATABASE {name}"
            f" OWNER TO {wanted.owner}'` (tables inside may need `REASSIGN OWNED` too), then"
            " `docker compose up -d`. If it belongs to something else, move that elsewhere."
            f" {SIGN_IN_HINT}"
        )
    return (
        "If it is empty or not needed, rename it: "
        f"`{psql} 'ALTER DATABASE {name} RENAME TO {name}_old'`, then `docker compose up -d`."
        " If it holds a homeserver, keep the renamed one, and copy it into the new database with"
        f" `pg_dump -Fc {name}_old` and `pg_restore --no-owner --role={wanted.owner} -d {name}`"
        f" before Synapse starts. {SIGN_IN_HINT}"
    )
