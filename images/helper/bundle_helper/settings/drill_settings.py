"""The settings of the full drill, from the environment. Nothing has a default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .environment import Environment
from .homeserver_settings import HomeserverSettings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class DrillSettings(HomeserverSettings):
    """What `bundle-helper drill` needs; `drill_file` says what the restored server must hold."""

    drill_file: Path

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> DrillSettings:
        """Read `environ` and the secret file it names; InvalidEnvironmentError lists every problem."""
        environment = Environment(environ)
        settings = cls(
            server_name=environment.dns_name("SERVER_NAME"),
            homeserver=environment.dns_name("HOMESERVER"),
            synapse_url=environment.url("SYNAPSE_URL", ("http",)),
            registration_shared_secret=environment.secret_file("REGISTRATION_SHARED_SECRET_FILE"),
            verify_key=environment.verify_key("VERIFY_KEY"),
            drill_file=environment.path("DRILL_FILE"),
        )
        environment.raise_problems()
        return settings
