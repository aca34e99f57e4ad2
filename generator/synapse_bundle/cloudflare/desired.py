"""What the settings want at Cloudflare."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from .. import planning
from ..errors import SettingsError
from ..settings.model import Settings
from ..worker_deployment import place_worker


@dataclass(frozen=True, kw_only=True)
class DesiredWorker:
    """The Worker: its module, its name without the bundle's id, and the route that leads to it."""

    name: str
    pattern: str
    compatibility_date: str
    source: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Desired:
    """What a bundle wants. `needs_token` is whether the helper's DNS token is to be created.

    `max_upload_size` is in bytes.
    """

    server_name: str
    homeserver: str
    worker: DesiredWorker
    needs_token: bool
    max_upload_size: int

    @property
    def delegates(self) -> bool:
        """Whether the server name is another host, which has to lead to the homeserver's."""
        return self.server_name != self.homeserver


def require_desired(settings: Settings, base: Path) -> Desired:
    """Return what the settings want; raises SettingsError if that is nothing.

    `base` is the directory that file names in the settings are relative to.
    """
    if settings.trial:
        raise SettingsError(
            "The trial on localhost needs nothing at Cloudflare; set server_name first."
        )
    if not settings.tunnel:
        raise SettingsError("The settings have no tunnel; add the line `tunnel: cloudflare`.")
    if settings.tunnel.credentials:
        raise SettingsError(
            "tunnel.credentials names a tunnel of your own. Write `tunnel: cloudflare` to have one"
            " created, or keep yours and do not use this command."
        )
    named = settings.certificates.token
    return Desired(
        server_name=settings.server_name,
        homeserver=settings.homeserver,
        worker=_plan_worker(settings),
        # A token in a file that the settings name is the operator's responsibility.
        needs_token=settings.certificates.acme and not (named and (base / named).is_file()),
        max_upload_size=settings.max_upload_size,
    )


def _plan_worker(settings: Settings) -> DesiredWorker:
    place = place_worker(settings.server_name)
    return DesiredWorker(
        name=place.script,
        pattern=place.route,
        compatibility_date=place.compatibility_date,
        source=planning.plan_worker(settings),
    )
