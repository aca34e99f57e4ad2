"""What the operator should know beside the changes: what stops an apply, and what it cannot do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .changes import Note
from .desired import Desired
from .found import Found, PlanContext
from .kinds.registry import KINDS

# Megabytes that pass Cloudflare (Workers documentation, limits); MiB would be a little more.
_BODY_LIMITS: Final = {"free": 100, "pro": 100, "business": 200, "enterprise": 500}
_MEGABYTE: Final = 1000**2


def list_obstacles(context: PlanContext) -> list[str]:
    """Return what has to be put right by hand before anything can be applied."""
    return [note.text for note in _list(context) if note.stops]


def list_notes(context: PlanContext) -> list[str]:
    """Return what is worth knowing and stops nothing."""
    return [note.text for note in _list(context) if not note.stops]


def _list(context: PlanContext) -> Iterator[Note]:
    found = context.found
    yield from _note_home(found)
    yield from _note_apex(context.desired, found)
    for zone in found.access.zones:
        if zone.status != "active":
            servers = " and ".join(zone.name_servers) or "those that its Overview page names"
            yield Note(
                text=f"{zone.name} is {zone.status}: nothing is reached until the name servers at"
                f" your registrar are {servers}"
            )
    for kind in KINDS:
        yield from kind.list_notes(context)
    limit = _BODY_LIMITS.get(found.access.home.plan, _BODY_LIMITS["free"])
    if context.desired.max_upload_size > limit * _MEGABYTE:
        text = f"max_upload_size is more than the {limit} MB that the zone's plan lets through"
        yield Note(text=text)


def _note_home(found: Found) -> Iterator[Note]:
    """Yield what keeps everything in the homeserver's zone from being reached."""
    home = found.access.home
    if home.type != "full":
        yield Note(
            text=f"{home.name} is a {home.type} zone: its DNS is not at Cloudflare, and only a full"
            " zone leads into a tunnel",
            stops=True,
        )
    if home.paused:
        yield Note(
            text=f"{home.name} is paused, and nothing is proxied: Overview → Enable Cloudflare on"
            " Site",
            stops=True,
        )


def _note_apex(desired: Desired, found: Found) -> Iterator[Note]:
    """Yield what keeps the Worker in the server name's zone from being asked."""
    home, apex = found.access.home, found.access.apex
    if apex and apex.type != "full":
        yield Note(
            text=f"{apex.name} is a {apex.type} zone: the Worker is asked only if its own DNS leads"
            f" {desired.server_name} to Cloudflare"
        )
    if apex and apex.paused and apex != home:
        text = f"{apex.name} is paused: no Worker is asked until Cloudflare is enabled there again"
        yield Note(text=text)
