"""What a bundle brings along: its settings as wants, the secrets that lie in it, a rehearsal."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .. import (
    comparison,
    credentials,
    generation,
    imports,
    manifest,
    planning,
    topology,
    tunnel,
    writing,
)
from ..errors import SettingsError
from ..settings import Settings
from .desired import Wanted, Worker
from .found import Secrets

# Stand in for secrets that are yet to be obtained, where everything else is tried beforehand.
NO_TOKEN: Final = "_" * 40
NO_CREDENTIAL: Final = json.dumps(
    {
        "AccountTag": "0" * 32,
        "TunnelSecret": base64.b64encode(bytes(32)).decode(),
        "TunnelID": "00000000-0000-0000-0000-000000000000",
    }
)


def plan_worker(settings: Settings) -> Worker:
    """Return the Worker that answers the well-known paths of the server name."""
    place = topology.place_worker(settings.server_name)
    return Worker(
        name=place.script,
        pattern=place.route,
        compatibility_date=place.compatibility_date,
        source=planning.plan_worker(settings),
    )


def read_wanted(settings: Settings, base: Path) -> Wanted:
    """Return what the settings want at Cloudflare; raises SettingsError where that is nothing.

    `base` is the directory that the settings' file names start from.
    """
    if settings.trial:
        raise SettingsError(
            "The trial on localhost needs nothing at Cloudflare; set server_name first."
        )
    if not settings.tunnel:
        raise SettingsError("The settings have no tunnel; add the line `tunnel: cloudflare`.")
    if settings.tunnel.credentials:
        raise SettingsError(
            "tunnel.credentials names a tunnel of your own; write `tunnel: cloudflare` to have one"
            " made, or keep yours and do without this command."
        )
    named = settings.certificates.token
    return Wanted(
        server_name=settings.server_name,
        homeserver=settings.homeserver,
        worker=plan_worker(settings),
        # A token in a file that the settings name is the operator's own affair.
        mints=settings.certificates.acme and not (named and (base / named).is_file()),
        max_upload_size=settings.max_upload_size,
    )


def read_secrets(bundle: Path) -> Secrets:
    """Return what lies in the bundle; what is malformed is as good as nothing."""
    directory = bundle / credentials.DIRECTORY
    token = read(directory / imports.TOKEN)
    credential = read_credential(read(directory / imports.TUNNEL))
    return Secrets(
        account=credential["AccountTag"],
        tunnel=credential["TunnelID"],
        token="" if imports.check_dns_token(token) else token,
    )


def read_credential(text: str) -> dict[str, str]:
    """Return account and id of a tunnel's credential, empty where it is none."""
    try:
        document: dict[str, str] = json.loads(tunnel.read_credential(text))
    except (ValueError, RecursionError):
        return {"AccountTag": "", "TunnelID": ""}
    return document


def read(path: Path) -> str:
    """Return a file's text, or nothing where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def rehearse(settings: Settings, bundle: Path, base: Path, given: Mapping[str, str]) -> None:
    """Raise what would keep the bundle from being written after Cloudflare has done its part."""
    writing.check_output(bundle)
    writing.check_neighbour(bundle, settings.project)
    known = manifest.read(bundle, force=False)
    stand_ins = {imports.TUNNEL: NO_CREDENTIAL, imports.TOKEN: NO_TOKEN}
    secrets = credentials.collect(bundle, settings, base, stand_ins | dict(given))
    plan = planning.plan(settings, secrets, planning.read_kept(bundle))
    generation.refuse_conflicts(comparison.compare(plan, bundle, known, force=False))
