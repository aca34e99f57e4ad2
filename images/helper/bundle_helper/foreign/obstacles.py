"""What in its configuration forbids the import of a server, each with one sentence; and what is left behind."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

from ..backup.progress import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .homeserver_config import ForeignConfig

# What people would miss, and no bundle sets by itself.
_LEFT_BEHIND: Final = (
    *(
        "app_service_config_files",
        "modules",
        "password_providers",
        "oidc_providers",
        "saml2_config",
    ),
    *("cas_config", "jwt_config", "email", "turn_uris", "enable_registration", "auto_join_rooms"),
    *("url_preview_enabled", "federation_domain_whitelist", "retention", "server_notices"),
    "user_consent",
)


def list_obstacles(config: ForeignConfig, server_name: str, *, has_dump: bool) -> Iterator[str]:
    """Yield a sentence for each reason why this server cannot become the bundle called `server_name`."""
    if config.server_name != server_name:
        yield (
            f"it is the server {config.server_name or 'without a name'}, and this bundle is"
            f" {server_name}. A server's name never changes: write its own into settings.yaml"
        )
    if _uses_authentication_service(config.document):
        yield (
            "its passwords and sessions are in a Matrix Authentication Service, not in Synapse. An import"
            " would sign out everybody, for good"
        )
    if config.document.get("media_storage_providers"):
        yield (
            "media_storage_providers: some of its files may be elsewhere alone, on S3 for example. Copy"
            f" all of them back into {config.media_name}, delete this key, then run this again"
        )
    if config.document.get("databases"):
        yield "databases: it is spread over several; Synapse can be imported from one database"
    if config.media is None:
        yield (
            f"the folder of its files, {config.media_name}, is not there. Copy it beside homeserver.yaml,"
            " or make an empty one if there never were any"
        )
    yield from _list_database_obstacles(config, has_dump=has_dump)


def _list_database_obstacles(config: ForeignConfig, *, has_dump: bool) -> Iterator[str]:
    if config.uses_sqlite and has_dump:
        yield "homeserver.yaml names an SQLite database, which is in the folder: leave --database out"
    if config.uses_sqlite and config.sqlite is None:
        yield f"its database, {config.sqlite_name}, is not there. Copy it beside homeserver.yaml"
    if not config.uses_sqlite and not has_dump:
        yield (
            "its database is PostgreSQL: stop Synapse, make a dump with the programs of that server,"
            " `pg_dump -Fc --file=synapse.dump NAME`, and name the file with --database"
        )


def describe_lack(directory: Path, needed: int) -> str:
    """Return what is wrong with the room for so many bytes where `directory` will be, "" if nothing is.

    PostgreSQL's own volume is not visible here; Docker keeps all volumes in one place.
    """
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free >= needed:
        return ""
    return (
        f"the disk with Docker's volumes has {format_size(free)} free, and this server needs about"
        f" {format_size(needed)} there. Free some room"
    )


def list_left_behind(document: Mapping[str, Any]) -> list[str]:
    """Return the settings that the other server has, and this one will not have by itself."""
    return [key for key in _LEFT_BEHIND if document.get(key)]


def _uses_authentication_service(document: Mapping[str, Any]) -> bool:
    service = document.get("matrix_authentication_service")
    experiments = document.get("experimental_features")
    delegation = experiments.get("msc3861") if isinstance(experiments, dict) else None
    return any(isinstance(each, dict) and each.get("enabled") for each in (service, delegation))
