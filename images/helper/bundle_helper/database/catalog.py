"""What PostgreSQL's catalog says of a role and a database, and what it should say.

Rules for the database (UTF8, collation and ctype exactly C, owned by the role) are Synapse's:
https://element-hq.github.io/synapse/latest/postgres.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import psycopg


@dataclass(frozen=True, kw_only=True)
class Role:
    """The privileges of a role, as pg_roles shows them."""

    login: bool
    superuser: bool
    createdb: bool
    createrole: bool
    replication: bool
    bypassrls: bool
    limited: bool


@dataclass(frozen=True, kw_only=True)
class Database:
    """What may not differ between the database and what Synapse needs."""

    encoding: str
    collation: str
    ctype: str
    provider: str
    owner: str


LEAST_PRIVILEGED: Final = Role(
    login=True,
    superuser=False,
    createdb=False,
    createrole=False,
    replication=False,
    bypassrls=False,
    limited=False,
)


def wanted_database(owner: str) -> Database:
    """Return the properties of a database that Synapse accepts."""
    return Database(encoding="UTF8", collation="C", ctype="C", provider="libc", owner=owner)


def read_role(connection: psycopg.Connection, name: str) -> Role | None:
    """Return the privileges of the role called `name`, or None if there is no such role."""
    row = connection.execute(
        "SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls,"
        " rolconnlimit <> -1 OR COALESCE(rolvaliduntil, 'infinity') <> 'infinity'"
        " FROM pg_roles WHERE rolname = %s",
        (name,),
    ).fetchone()
    if row is None:
        return None
    login, superuser, createdb, createrole, replication, bypassrls, limited = row
    return Role(
        login=login,
        superuser=superuser,
        createdb=createdb,
        createrole=createrole,
        replication=replication,
        bypassrls=bypassrls,
        limited=limited,
    )


def read_memberships(connection: psycopg.Connection, name: str) -> tuple[tuple[str, str], ...]:
    """Return the roles that the role called `name` is a member of, each with who granted it."""
    rows = connection.execute(
        "SELECT pg_get_userbyid(roleid), pg_get_userbyid(grantor) FROM pg_auth_members"
        " WHERE pg_get_userbyid(member) = %s ORDER BY 1, 2",
        (name,),
    )
    return tuple((granted, grantor) for granted, grantor in rows)


def read_members(connection: psycopg.Connection, name: str) -> tuple[str, ...]:
    """Return the roles that are members of the role called `name`, and may do what it may."""
    rows = connection.execute(
        "SELECT DISTINCT pg_get_userbyid(member) FROM pg_auth_members"
        " WHERE pg_get_userbyid(roleid) = %s ORDER BY 1",
        (name,),
    )
    return tuple(member for (member,) in rows)


def read_database(connection: psycopg.Connection, name: str) -> Database | None:
    """Return the properties of the database called `name`, or None if there is none."""
    row = connection.execute(
        "SELECT pg_encoding_to_char(encoding), datcollate, datctype, CASE datlocprovider"
        " WHEN 'c' THEN 'libc' WHEN 'i' THEN 'icu' ELSE 'builtin' END, pg_get_userbyid(datdba)"
        " FROM pg_database WHERE datname = %s",
        (name,),
    ).fetchone()
    if row is None:
        return None
    encoding, collation, ctype, provider, owner = row
    return Database(
        encoding=encoding, collation=collation, ctype=ctype, provider=provider, owner=owner
    )
