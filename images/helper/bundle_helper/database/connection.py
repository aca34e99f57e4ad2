"""Connections to PostgreSQL: which refusals end by themselves, and which need the operator."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

import psycopg

from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..settings.database_settings import DatabaseSettings, ExternalAccess
    from ..settings.environment import Secret

SUPERUSER: Final = "postgres"
_MAINTENANCE_DATABASE: Final = "postgres"
_PAUSE_SECONDS: Final = 0.5
_WRONG_PASSWORD: Final = "password authentication failed"  # noqa: S105 (the server's words)
_HOPELESS: Final = (
    _WRONG_PASSWORD,
    "no pg_hba.conf entry",
    "does not exist",
    "no password supplied",
)


def connect_as_superuser(
    settings: DatabaseSettings,
    *,
    tell: Callable[[str], None] = lambda _: None,
) -> psycopg.Connection:
    """Connect as the superuser, waiting as long as the settings allow for a server that starts.

    A wrong password or a refusal by pg_hba.conf lasts, so it raises HelperError at once.
    """
    deadline = time.monotonic() + settings.database_patience
    announced = False
    while True:
        try:
            return connect(settings, SUPERUSER, settings.superuser_password, _MAINTENANCE_DATABASE)
        except psycopg.OperationalError as error:
            _raise_if_hopeless(error, settings)
            if time.monotonic() > deadline:
                raise _too_late(error, settings) from error
        if not announced:
            tell(f"waiting for PostgreSQL at {settings.database_host}:{settings.database_port}")
            announced = True
        time.sleep(_PAUSE_SECONDS)


def connect(
    settings: DatabaseSettings, user: str, password: Secret, database: str
) -> psycopg.Connection:
    """Open one autocommitting connection; psycopg.OperationalError passes through."""
    return psycopg.connect(
        host=settings.database_host,
        port=settings.database_port,
        dbname=database,
        user=user,
        password=password.reveal(),
        connect_timeout=5,
        application_name="synapse-bundle bootstrap",
        # Of a database in SQL_ASCII, names would come as bytes.
        client_encoding="UTF8",
        autocommit=True,
        **encrypt(settings.external),
    )


def encrypt(external: ExternalAccess | None) -> dict[str, Any]:
    """Return libpq's options of TLS; none for the bundle's own PostgreSQL, whose network is its own."""
    if external is None:
        return {}
    return {"sslmode": external.sslmode} | (
        {"sslrootcert": str(external.root)} if external.root else {}
    )


def password_is_current(settings: DatabaseSettings) -> bool:
    """Say whether the role can log in with the configured password.

    Any answer after the password exchange, such as a missing CONNECT privilege, proves the
    password. HelperError if the server stopped answering.
    """
    try:
        connect(
            settings, settings.database_role, settings.role_password, _MAINTENANCE_DATABASE
        ).close()
    except psycopg.OperationalError as error:
        if _WRONG_PASSWORD in str(error):
            return False
        if "permission denied for database" in str(error):
            return True
        raise HelperError(
            f"the role {settings.database_role} cannot be tested: {first_line(error)}."
            " See `docker compose logs postgres`, then `docker compose up -d`.",
        ) from error
    return True


@contextlib.contextmanager
def explain_refusals() -> Iterator[None]:
    """Turn what PostgreSQL refuses inside into HelperError."""
    try:
        yield
    except psycopg.Error as error:
        raise HelperError(
            f"PostgreSQL refused a statement: {first_line(error)}. See `docker compose logs postgres`,"
            " then run this again."
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error of libpq: it names host, port and reason, no password."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _raise_if_hopeless(error: psycopg.OperationalError, settings: DatabaseSettings) -> None:
    if not any(words in str(error) for words in _HOPELESS):
        return
    advice = (
        "PostgreSQL was started with another password than the one in secrets/postgres_password now:"
        " `docker compose restart postgres` gives it this one, then `docker compose up -d`."
        if _WRONG_PASSWORD in str(error)
        else "See `docker compose logs postgres`; the volume may belong to another bundle."
    )
    raise HelperError(
        f"PostgreSQL at {settings.database_host}:{settings.database_port} refused the superuser"
        f" {SUPERUSER}: {first_line(error)}.\n{advice}",
    ) from error


def _too_late(error: Exception, settings: DatabaseSettings) -> HelperError:
    return HelperError(
        f"PostgreSQL at {settings.database_host}:{settings.database_port} did not answer within"
        f" {settings.database_patience} s: {first_line(error)}. See `docker compose logs postgres`, then"
        " `docker compose up -d`.",
    )
