"""The settings of the bootstrap, from the environment. Nothing has a default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .environment import HIGHEST_PORT, Environment, parse_number, parse_path

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .environment import Secret

_HIGHEST_ID: Final = 2**31 - 1
_LONGEST_PATIENCE: Final = 86400


@dataclass(frozen=True, kw_only=True)
class VolumeOwner:
    """A mounted volume and the number of the user and group that own its top directory."""

    path: Path
    uid: int


@dataclass(frozen=True, kw_only=True)
class BootstrapSettings:
    """What `bundle-helper bootstrap` needs; `database_patience` is in seconds."""

    server_name: str
    database_host: str
    database_port: int
    database_patience: int
    database_name: str
    database_role: str
    superuser_password: Secret
    role_password: Secret
    volume_owners: tuple[VolumeOwner, ...]
    report_file: Path
    instance_file: Path
    # Whether the operator has given up the data that belongs to this folder.
    start_empty: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> BootstrapSettings:
        """Read `environ` and the secret files it names; InvalidEnvironmentError lists every problem."""
        environment = Environment(environ)
        settings = cls(
            server_name=environment.dns_name("SERVER_NAME"),
            database_host=environment.text("DATABASE_HOST"),
            database_port=environment.number("DATABASE_PORT", HIGHEST_PORT),
            database_patience=environment.number("DATABASE_PATIENCE", _LONGEST_PATIENCE),
            database_name=environment.text("DATABASE_NAME"),
            database_role=environment.text("DATABASE_ROLE"),
            superuser_password=environment.secret_file("SUPERUSER_PASSWORD_FILE"),
            role_password=environment.secret_file("ROLE_PASSWORD_FILE"),
            volume_owners=environment.read("VOLUME_OWNERS", _parse_volume_owners, ()),
            report_file=environment.path("REPORT_FILE"),
            instance_file=environment.path("INSTANCE_FILE"),
        )
        environment.raise_problems()
        return settings


def _parse_volume_owners(text: str) -> tuple[VolumeOwner, ...]:
    return tuple(_parse_volume_owner(entry) for entry in text.split())


def _parse_volume_owner(entry: str) -> VolumeOwner:
    path, separator, uid = entry.rpartition("=")
    if not separator:
        raise ValueError(f"{entry!r} has no owner: write /path=uid")
    return VolumeOwner(path=parse_path(path), uid=parse_number(uid, _HIGHEST_ID))
