"""Where Synapse's database is, and how it is reached: the bundle's own, somebody else's, a cluster's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from . import topology
from .credentials.file_names import DATABASE_PASSWORD, DATABASE_ROOT, ROLE_PASSWORD
from .settings.database import ExternalDatabase
from .settings.model import Settings


@dataclass(frozen=True, kw_only=True)
class DatabasePlace:
    """How Synapse's database is reached; `password` is the name of a file in secrets/.

    `sslmode` is libpq's word, "" for the bundle's own PostgreSQL; `root` is a path in a container, or "".
    """

    host: str
    port: int
    name: str
    role: str
    password: str
    sslmode: str = ""
    root: str = ""

    @property
    def external(self) -> bool:
        """Whether it is not the bundle's own PostgreSQL, so that it is proved and never made."""
        return bool(self.sslmode)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The files in secrets/ with which Synapse's role signs in."""
        mounted = bool(self.root) and str(PurePosixPath(self.root).parent) == topology.SECRETS
        return (self.password, *((DATABASE_ROOT,) if mounted else ()))


def place_database(settings: Settings) -> DatabasePlace:
    """Return where the settings have Synapse's database."""
    if settings.database:
        return _place_external(settings.database)
    own = topology.POSTGRES
    # Of a CloudNativePG cluster the Service NAME-rw leads to the primary.
    operated = bool(settings.kubernetes.database)
    return DatabasePlace(
        host=f"{topology.CLUSTER.database}-rw" if operated else own.host,
        port=own.port,
        name=own.database,
        role=own.role,
        password=ROLE_PASSWORD,
        sslmode="verify-full" if operated else "",
        root=topology.CLUSTER.database_root if operated else "",
    )


def runs_database(bundle: Path) -> bool:
    """Say whether a bundle on the disk has its own PostgreSQL, which it can back up and restore."""
    # Only the bootstrap of another one is told this.
    return b"DATABASE_SSLMODE" not in (bundle / "compose.yaml").read_bytes()


def _place_external(chosen: ExternalDatabase) -> DatabasePlace:
    return DatabasePlace(
        host=chosen.host,
        port=chosen.port,
        name=chosen.name,
        role=chosen.user,
        password=DATABASE_PASSWORD,
        sslmode=chosen.sslmode,
        root=f"{topology.SECRETS}/{DATABASE_ROOT}" if chosen.root else "",
    )
