"""How PostgreSQL is reached, and which role and database Synapse has there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .environment import HIGHEST_PORT

if TYPE_CHECKING:
    from pathlib import Path

    from .environment import Environment, Secret

_LONGEST_PATIENCE: Final = 86400
_NONE: Final = "none"


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """PostgreSQL, Synapse's role and database; `database_patience` is in seconds.

    `claim_directory` is where the helper remembers its claim to the server's name, None without one.
    """

    server_name: str
    database_host: str
    database_port: int
    database_patience: int
    database_name: str
    database_role: str
    superuser_password: Secret
    role_password: Secret
    instance_file: Path
    claim_directory: Path | None


def read_database(environment: Environment) -> dict[str, Any]:
    """Return the fields of DatabaseSettings by name, noting problems."""
    return {
        "server_name": environment.dns_name("SERVER_NAME"),
        "database_host": environment.text("DATABASE_HOST"),
        "database_port": environment.number("DATABASE_PORT", HIGHEST_PORT),
        "database_patience": environment.number("DATABASE_PATIENCE", _LONGEST_PATIENCE),
        "database_name": environment.text("DATABASE_NAME"),
        "database_role": environment.text("DATABASE_ROLE"),
        "superuser_password": environment.secret_file("SUPERUSER_PASSWORD_FILE"),
        "role_password": environment.secret_file("ROLE_PASSWORD_FILE"),
        "instance_file": environment.path("INSTANCE_FILE"),
        "claim_directory": environment.optional_path("CLAIM_DIRECTORY", without=_NONE),
    }
