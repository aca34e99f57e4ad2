"""A database that is not the bundle's own: Synapse's role signs in there and proves it; nothing is made.

What is wrong with it, only whoever runs it can change, so each message has what that person needs.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import psycopg

from ..errors import HelperError
from . import agreement
from .catalog import LEAST_PRIVILEGED, wanted_database
from .connection import connect, first_line
from .convergence import describe_differences, holds_tables, lock, read_proof
from .copy_record import require_only
from .identity_report import describe_identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..settings.bootstrap_settings import BootstrapSettings
    from ..settings.database_settings import DatabaseSettings
    from .catalog import Role
    from .convergence import DatabaseProof

# Synapse's own limit: synapse/storage/engines/postgres.py.
_OLDEST: Final = 14
_PAUSE_SECONDS: Final = 0.5
_GRANTED: Final = ("superuser", "createdb", "createrole", "replication", "bypassrls")
_AGAIN: Final = "then `docker compose up -d`"
_TLS: Final = (
    "the certificate must be valid, be issued by the root in `database.root`, and with sslmode verify-full be"
    " for the name in `database.host`"
)
# The server's or libpq's words for what does not end by itself, and what to do.
_REFUSALS: Final = (
    (
        "password authentication failed",
        "write the right one into the file that `database.password` names, run `synapse-bundle generate`, "
        + _AGAIN,
    ),
    ("does not match host name", _TLS),
    ("certificate verify failed", _TLS),
    ("root certificate file", _TLS),
    (
        "does not support SSL",
        "whoever runs the database has to switch TLS on; `sslmode: disable` is for a network of your own",
    ),
    ("no pg_hba.conf entry", "whoever runs the database has to let this role in from here"),
    (
        "permission denied for database",
        "whoever runs the database has to grant this role CONNECT on it",
    ),
)


def prove_external(
    settings: BootstrapSettings, tell: Callable[[str], None]
) -> tuple[DatabaseProof, dict[str, object]]:
    """Return the proof, and what may be known of the data's identity; the folder and the data agree then.

    HelperError if Synapse could not use the database, if the role may more than it needs, or if the data is
    not this server's, or another copy's. Only the record of whose data it is gets written.
    """
    with _sign_in(settings, tell) as connection:
        proof = read_proof(connection, settings)
        _require_usable(proof, connection.info.server_version // 10000)
        lock(connection)
        has_data = holds_tables(connection)
        for change in agreement.agree(connection, settings, has_data=has_data):
            tell(change)
        if settings.copy_file is not None:
            require_only(connection, settings, settings.copy_file)
        return proof, describe_identity(connection, settings.database_name)


def _sign_in(settings: DatabaseSettings, tell: Callable[[str], None]) -> psycopg.Connection:
    """Connect as Synapse's role, waiting as long as the settings allow for a server that starts."""
    place = f"{settings.database_host}:{settings.database_port}"
    deadline = time.monotonic() + settings.database_patience
    announced = False
    while True:
        try:
            return connect(
                settings, settings.database_role, settings.role_password, settings.database_name
            )
        except psycopg.OperationalError as error:
            remedy = _find_remedy(str(error), settings)
            if remedy or time.monotonic() > deadline:
                raise HelperError(
                    f"the database {settings.database_name} at {place} did not let the role"
                    f" {settings.database_role} in: {first_line(error)}."
                    f" {remedy or f'It must be reachable from this machine, {_AGAIN}'}."
                ) from error
        if not announced:
            tell(f"waiting for PostgreSQL at {place}")
            announced = True
        time.sleep(_PAUSE_SECONDS)


def _find_remedy(words: str, settings: DatabaseSettings) -> str:
    if f'"{settings.database_name}" does not exist' in words:
        return (
            "Whoever runs the database has to make it:"
            f" `{_write_creation(settings.database_name, settings.database_role)}`"
        )
    remedy = next((remedy for known, remedy in _REFUSALS if known in words), "")
    return remedy[:1].upper() + remedy[1:]


def _write_creation(name: str, role: str) -> str:
    return (
        f"CREATE DATABASE {_quote(name)} OWNER {_quote(role)} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE"
        " 'C' LC_CTYPE 'C'"
    )


def _require_usable(proof: DatabaseProof, version: int) -> None:
    if version < _OLDEST:
        raise HelperError(
            f"the database is PostgreSQL {proof.server_version}, and Synapse needs {_OLDEST} or newer."
            " Nothing was changed."
        )
    differences = describe_differences(proof.properties, wanted_database(proof.role))
    if differences:
        same = replace(proof.properties, owner=proof.role) == wanted_database(proof.role)
        remedy = (
            f"types: `ALTER DATABASE {_quote(proof.database)} OWNER TO {_quote(proof.role)}`"
            if same
            else "has to make another one, because this is chosen only then:"
            f" `{_write_creation(proof.database, proof.role)}`"
        )
        raise HelperError(
            f"Synapse cannot use the database {proof.database}: {differences}. Nothing was changed. Whoever"
            f" runs the database {remedy}"
        )
    remedies = _list_remedies(proof)
    if remedies:
        raise HelperError(
            f"the role {proof.role} may do more than Synapse needs. Nothing was changed. Whoever runs the"
            f" database types: `{'; '.join(remedies)}`"
        )


def _list_remedies(proof: DatabaseProof) -> list[str]:
    """Return the statements that take from a role what it should not have."""
    surplus = [f"NO{name.upper()}" for name in _GRANTED if _exceeds(proof.privileges, name)]
    statements = [f"ALTER ROLE {_quote(proof.role)} {' '.join(surplus)}"] if surplus else []
    return statements + [
        f"REVOKE {_quote(granted)} FROM {_quote(proof.role)}" for granted in proof.memberships
    ]


def _exceeds(privileges: Role, name: str) -> bool:
    return bool(getattr(privileges, name) and not getattr(LEAST_PRIVILEGED, name))


def _quote(name: str) -> str:
    """Return a name as a statement has it; the settings allow no quote in it."""
    return f'"{name}"'
