"""The settings of the bootstrap, from the environment. Nothing has a default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .database_settings import DatabaseSettings, read_database
from .environment import Environment, parse_number, parse_path, read_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_HIGHEST_ID: Final = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class VolumeOwner:
    """A mounted volume and the number of the user and group that own its top directory."""

    path: Path
    uid: int


@dataclass(frozen=True, kw_only=True)
class BootstrapSettings(DatabaseSettings):
    """What `bundle-helper bootstrap` needs."""

    volume_owners: tuple[VolumeOwner, ...]
    report_file: Path
    # The id of the folder that the manifests of a cluster were made of; None in Compose.
    folder_file: Path | None = None
    # Whether the operator has given up the data that belongs to this folder.
    start_empty: bool = False

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> BootstrapSettings:
        """Read `environ` and the secret files it names; InvalidEnvironmentError lists every problem."""
        environment = Environment(environ)
        settings = cls(
            **read_database(environment),
            volume_owners=environment.read("VOLUME_OWNERS", _parse_volume_owners, ()),
            report_file=environment.path("REPORT_FILE"),
            folder_file=environment.checked_file("FOLDER_FILE", read_text)
            if environment.has("FOLDER_FILE")
            else None,
        )
        environment.raise_problems()
        return settings


def _parse_volume_owners(text: str) -> tuple[VolumeOwner, ...]:
    # On Kubernetes volumes are shared by their group.
    if text == "none":
        return ()
    return tuple(_parse_volume_owner(entry) for entry in text.split())


def _parse_volume_owner(entry: str) -> VolumeOwner:
    path, separator, uid = entry.rpartition("=")
    if not separator:
        raise ValueError(f"{entry!r} has no owner: write /path=uid")
    return VolumeOwner(path=parse_path(path), uid=parse_number(uid, _HIGHEST_ID))
