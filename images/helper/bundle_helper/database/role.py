"""Synapse's role: made if missing, stripped of what it does not need, given the present password."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from psycopg import sql

from .catalog import LEAST_PRIVILEGED, read_memberships, read_role
from .connection import password_is_current

if TYPE_CHECKING:
    import psycopg

    from ..settings.database_settings import DatabaseSettings

_LEAST_PRIVILEGE: Final = sql.SQL(
    "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
    " CONNECTION LIMIT -1 VALID UNTIL 'infinity'"
)


def ensure_role(superuser: psycopg.Connection, settings: DatabaseSettings) -> tuple[str, ...]:
    """Bring the role to the wanted state; return one sentence per change."""
    name = settings.database_role
    found = read_role(superuser, name)
    if found is None:
        _write_role(superuser, settings, sql.SQL("CREATE ROLE"), with_password=True)
        return (f"created the role {name}",)
    changes = []
    if found != LEAST_PRIVILEGED:
        _write_role(superuser, settings, sql.SQL("ALTER ROLE"), with_password=False)
        changes.append(f"removed surplus privileges from the role {name}")
    if not password_is_current(settings):
        _write_role(superuser, settings, sql.SQL("ALTER ROLE"), with_password=True)
        changes.append(f"gave the role {name} the password of this bundle")
    return (*changes, *_revoke_memberships(superuser, name))


def _revoke_memberships(superuser: psycopg.Connection, name: str) -> tuple[str, ...]:
    changes = []
    for granted, grantor in read_memberships(superuser, name):
        # Without its grantor a grant that another role made would stay, and only warn.
        superuser.execute(
            sql.SQL("REVOKE {} FROM {} GRANTED BY {} CASCADE").format(
                *map(sql.Identifier, (granted, name, grantor))
            )
        )
        changes.append(f"revoked the membership in {granted} from the role {name}")
    return tuple(changes)


def _write_role(
    superuser: psycopg.Connection,
    settings: DatabaseSettings,
    verb: sql.SQL,
    *,
    with_password: bool,
) -> None:
    statement = sql.SQL("{} {} {}").format(
        verb, sql.Identifier(settings.database_role), _LEAST_PRIVILEGE
    )
    if with_password:
        statement += sql.SQL(" PASSWORD {}").format(_compute_verifier(superuser, settings))
    superuser.execute(statement)


def _compute_verifier(superuser: psycopg.Connection, settings: DatabaseSettings) -> str:
    # With log_statement=ddl the server logs this statement: it must not hold the password.
    return superuser.pgconn.encrypt_password(
        settings.role_password.reveal().encode(),
        settings.database_role.encode(),
        b"scram-sha-256",
    ).decode()
