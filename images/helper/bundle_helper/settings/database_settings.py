"""How PostgreSQL is reached, and which role and database Synapse has there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .environment import HIGHEST_PORT, Secret

if TYPE_CHECKING:
    from pathlib import Path

    from .environment import Environment

_LONGEST_PATIENCE: Final = 86400
_NONE: Final = "none"


@dataclass(frozen=True, kw_only=True)
class ExternalAccess:
    """How libpq reaches a database that is not the bundle's own; `root` is None where it proves no certificate."""

    sslmode: str
    root: Path | None


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """PostgreSQL, Synapse's role and database; `database_patience` is in seconds.

    `external` is None for the bundle's own PostgreSQL; another one has no superuser here, and the password
    is empty. `claim_directory` is where the helper remembers its claim to the server's name, None without one.
    """

    server_name: str
    database_host: str
    database_port: int
    database_patience: int
    database_name: str
    database_role: str
    external: ExternalAccess | None
    superuser_password: Secret
    role_password: Secret
    instance_file: Path
    claim_directory: Path | None


def read_database(environment: Environment) -> dict[str, Any]:
    """Return the fields of DatabaseSettings by name, noting problems."""
    external = read_access(environment)
    return {
        "server_name": environment.dns_name("SERVER_NAME"),
        "database_host": environment.text("DATABASE_HOST"),
        "database_port": environment.number("DATABASE_PORT", HIGHEST_PORT),
        "database_patience": environment.number("DATABASE_PATIENCE", _LONGEST_PATIENCE),
        "database_name": environment.text("DATABASE_NAME"),
        "database_role": environment.text("DATABASE_ROLE"),
        "external": external,
        "superuser_password": Secret("")
        if external
        else environment.secret_file("SUPERUSER_PASSWORD_FILE"),
        "role_password": environment.secret_file("ROLE_PASSWORD_FILE"),
        "instance_file": environment.path("INSTANCE_FILE"),
        "claim_directory": environment.optional_path("CLAIM_DIRECTORY", without=_NONE),
    }


def read_access(environment: Environment) -> ExternalAccess | None:
    """Return how an external database is reached, None where the environment has no word of it."""
    if not environment.has("DATABASE_SSLMODE"):
        return None
    return ExternalAccess(
        sslmode=environment.text("DATABASE_SSLMODE"),
        root=environment.optional_path("DATABASE_ROOT_FILE", without=_NONE),
    )
