"""What a pod's preparation waits for, from the environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .database_settings import read_access
from .environment import HIGHEST_PORT, Environment, Secret, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .database_settings import ExternalAccess


@dataclass(frozen=True, kw_only=True)
class DatabaseWait:
    """Synapse's database, as its own role reaches it; `folder_file` has the id of the folder that runs here."""

    host: str
    port: int
    database: str
    role: str
    password: Secret
    folder_file: Path
    external: ExternalAccess | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> DatabaseWait:
        """Read `environ` and the secret file it names; InvalidEnvironmentError lists every problem."""
        environment = Environment(environ)
        settings = cls(
            host=environment.text("DATABASE_HOST"),
            port=environment.number("DATABASE_PORT", HIGHEST_PORT),
            database=environment.text("DATABASE_NAME"),
            role=environment.text("DATABASE_ROLE"),
            password=environment.secret_file("ROLE_PASSWORD_FILE"),
            folder_file=environment.checked_file("FOLDER_FILE", read_text),
            external=read_access(environment),
        )
        environment.raise_problems()
        return settings


@dataclass(frozen=True, kw_only=True)
class HomeserverWait:
    """Synapse's main process past Apache; `version` is what it has to be, "" for any."""

    url: str
    version: str

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> HomeserverWait:
        """Read `environ`; InvalidEnvironmentError lists every problem."""
        environment = Environment(environ)
        version = environ.get("SYNAPSE_VERSION", "")
        settings = cls(url=environment.url("SYNAPSE_URL", ("http",)), version=version)
        environment.raise_problems()
        return settings
