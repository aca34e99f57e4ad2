"""What the operator should know beside the changes: what stops an apply, and what it cannot see to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from . import ownership as marks
from .changes import Change, Condition, Part
from .desired import ADDRESSES, Wanted, Zone
from .discovery import needs_worker
from .found import CLICKS, Found
from .permissions import USER, name_tokens
from .state import State

# Megabytes that pass Cloudflare (Workers documentation, limits); MiB would be a little more.
BODY_LIMITS: Final = {"free": 100, "pro": 100, "business": 200, "enterprise": 500}
ACCOUNT_CLICKS: Final = "https://dash.cloudflare.com/?to=/:account/api-tokens"
MEGABYTE: Final = 1000**2


def list_obstacles(wanted: Wanted, found: Found, changes: list[Change]) -> Iterator[str]:
    """Yield what has to be put right by hand before anything can be applied."""
    home = found.access.home
    if home.type != "full":
        yield (
            f"{home.name} is a {home.type} zone: its DNS is not at Cloudflare, and only a full zone"
            " leads into a tunnel"
        )
    if home.paused:
        yield f"{home.name} is paused, and nothing is proxied: Overview → Enable Cloudflare on Site"
    around = found.around_home
    for record in around.delegations:
        yield f"{record}: the name is delegated elsewhere; delete that record first"
    if around.balanced:
        yield f"A load balancer has the name {wanted.homeserver} and wins over DNS; delete it first"
    if around.covered is False:
        yield write_certificate_advice(wanted.homeserver, home)
    for record in found.home_records:
        if record.locked and record.type in ADDRESSES:
            yield f"{record} belongs to another Cloudflare product; remove it there first"
    if any(c.part is Part.TOKEN and c.condition is Condition.LEFT for c in changes):
        yield write_token_advice(found)


def write_certificate_advice(name: str, place: Zone) -> str:
    """Return what to do about a name that the edge has no certificate for."""
    return (
        f"Cloudflare's free certificate does not cover {name}, only one label below {place.name}:"
        " order an advanced certificate for it, or choose another name"
    )


def write_token_advice(found: Found) -> str:
    """Return how the helper gets a DNS token that cannot be minted."""
    owner = found.access.owner
    place = CLICKS if owner == USER else ACCOUNT_CLICKS
    return (
        f"The helper needs a token for the DNS of {found.access.home.name}, and yours may not make"
        f" one: it lacks {name_tokens(owner)}. Or make one by hand: {place} → Create Token → Edit"
        f" zone DNS, Use template → Zone Resources: Include, Specific zone,"
        f" {found.access.home.name} → Continue to summary → Create Token; put it into a file and"
        " run: synapse-bundle cloudflare apply --dns-token-file FILE"
    )


def list_notes(wanted: Wanted, found: Found, state: State) -> Iterator[str]:
    """Yield what is worth knowing and stops nothing."""
    yield from note_zones(wanted, found)
    yield from note_strangers(found, state)
    yield from note_discovery(wanted, found, state)
    if found.private:
        yield (
            f"The tunnel has private routes ({', '.join(found.private)}): through cloudflared the"
            " account reaches that network. Delete them, or keep cloudflared from it:"
            " docs/cloudflare.md, Private routes"
        )
    if found.tunnel and not found.tunnel.local:
        yield (
            "The tunnel was migrated in the dashboard: what is set there counts, not the bundle."
            " Delete it there and apply again"
        )
    limit = BODY_LIMITS.get(found.access.home.plan, BODY_LIMITS["free"])
    if wanted.max_upload_size > limit * MEGABYTE:
        yield f"max_upload_size is more than the {limit} MB that the zone's plan lets through"
    yield from found.notes


def note_zones(wanted: Wanted, found: Found) -> Iterator[str]:
    """Yield what is unusual about the zones."""
    home = found.access.home
    for zone in {home, found.access.apex or home}:
        if zone.status != "active":
            servers = " and ".join(zone.name_servers) or "those that its Overview page names"
            yield (
                f"{zone.name} is {zone.status}: nothing is reached until the name servers at your"
                f" registrar are {servers}"
            )
    if found.around_home.covered is None:
        yield write_certificate_advice(wanted.homeserver, home)
    apex = found.access.apex
    if not apex:
        return
    if found.around_apex.covered is not True:
        yield write_certificate_advice(wanted.server_name, apex)
    if apex.type != "full":
        yield (
            f"{apex.name} is a {apex.type} zone: the Worker is asked only if its own DNS leads"
            f" {wanted.server_name} to Cloudflare"
        )
    if apex.paused and apex != home:
        yield f"{apex.name} is paused: no Worker is asked until Cloudflare is enabled there again"
    for record in found.around_apex.delegations:
        yield f"{record}: the name is delegated elsewhere, so no Worker is asked for it"


def note_strangers(found: Found, state: State) -> Iterator[str]:
    """Yield the tunnels that other bundles made for the same server."""
    for tunnel in found.tunnels:
        stranger = marks.find_stranger(tunnel.name, state)
        if stranger:
            yield (
                f"Another bundle, {stranger}, has a tunnel for this server ({tunnel.status}). If it"
                " is this one and its .cloudflare.json was lost: put that back from a copy, or"
                f" begin with: synapse-bundle cloudflare apply --adopt {stranger}"
            )


def note_discovery(wanted: Wanted, found: Found, state: State) -> Iterator[str]:
    """Yield what keeps other servers and apps from finding the homeserver by the server name."""
    if not wanted.delegates:
        return
    paths = f"https://{wanted.server_name}/.well-known/matrix/"
    files = "the files are bundle/apache/well-known/*.json"
    if not found.access.apex:
        yield f"The token shows no zone for {wanted.server_name}: serve {paths} there yourself; {files}"
    elif not needs_worker(wanted, found, state):
        yield f"No Worker answers {paths}: serve it there yourself; {files}"
    prefix = wanted.worker.pattern.removesuffix("*")
    for route in found.routes:
        bare = route.pattern.removeprefix("https://").removeprefix("http://")
        if bare.startswith(prefix) and route.pattern != wanted.worker.pattern:
            shown = f"Worker {route.script}" if route.script else "no Worker"
            yield f"The route {route.pattern} -> {shown} is more exact than ours and wins"
