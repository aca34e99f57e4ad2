"""What there is at Cloudflare where a bundle wants something. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import SettingsError
from . import operator_rules as caching
from . import ownership as marks
from . import permissions, redirects
from .desired import Local, Record, Route, Script, Token, Tunnel, Wanted, Zone
from .hostname import Surroundings, list_private_routes, list_records, look_around
from .kinds import zone_settings as zone
from .kinds.zone_settings import Reading
from .session import Client, CloudflareError
from .state import State

NO_SUBDOMAIN: Final = 10007
CLICKS: Final = "https://dash.cloudflare.com/profile/api-tokens"


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a token opens: its owner's place in the API, and the zones of both names."""

    owner: str
    home: Zone
    apex: Zone | None


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that matters, as it is now. `tokens` is None where the token may not see them.

    `tunnels` are all of the account, `tunnel` is this bundle's own and `private` what the account
    reaches through it. `subdomain` is whether the Worker's account has a name at workers.dev.
    """

    access: Access
    tunnels: tuple[Tunnel, ...]
    tunnel: Tunnel | None
    home_records: tuple[Record, ...]
    apex_records: tuple[Record, ...]
    script: Script | None
    routes: tuple[Route, ...]
    tokens: tuple[Token, ...] | None
    settings: tuple[Reading, ...]
    notes: tuple[str, ...]
    local: Local
    around_home: Surroundings
    around_apex: Surroundings
    subdomain: bool
    private: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """What lies in the bundle: a tunnel's credential by its account and id, and a DNS token."""

    account: str = ""
    tunnel: str = ""
    token: str = field(default="", repr=False)


def find_access(client: Client, wanted: Wanted) -> Access:
    """Return what the client's token opens; raises SettingsError where that is not enough to begin."""
    known = True
    try:
        home = find_zone(client, wanted.homeserver)
    except CloudflareError as error:
        if not error.codes:
            raise
        home, known = None, False
    owner = permissions.find_owner(client, home.account if home else "")
    if not owner and not (known and not home):
        raise SettingsError(
            "Cloudflare does not accept this token: it is expired, revoked or not whole.",
            [f"Copy it again, or make another: {CLICKS}"],
        )
    if not home:
        raise SettingsError(
            f"The token shows no zone for {wanted.homeserver}; nothing was changed.",
            [
                f"It needs {permissions.ZONE}, and Zone Resources that include the domain: {CLICKS}",
                "If the domain is not at Cloudflare yet: https://dash.cloudflare.com → Add a domain",
            ],
        )
    apex = find_zone(client, wanted.server_name) if wanted.delegates else None
    return Access(owner=owner, home=home, apex=apex)


def find_zone(client: Client, host: str) -> Zone | None:
    """Return the nearest zone above a host that the token can see, or None.

    Two accounts may claim one name; it is the active zone that answers for it.
    """
    labels = host.split(".")
    for start in range(len(labels) - 1):
        found = map(Zone.parse, client.list("/zones", {"name": ".".join(labels[start:])}))
        zones = sorted(found, key=lambda zone: zone.status != "active")
        if zones:
            return zones[0]
    return None


def look(client: Client, wanted: Wanted, state: State, access: Access, local: Local) -> Found:
    """Return everything as it is now."""
    tunnels = list_tunnels(client, access.home.account)
    made = {m.id for m in state.made if m.id}
    name = marks.name_tunnel(state)
    tunnel = next((t for t in tunnels if t.name == name or t.id in made), None)
    readings, notes = read_settings(client, wanted, state, access)
    home_records = list_records(client, access.home, wanted.homeserver)
    apex_records = list_records(client, access.apex, wanted.server_name)
    account = access.home.account
    return Found(
        access=access,
        tunnels=tunnels,
        tunnel=tunnel,
        private=list_private_routes(client, account, tunnel.id) if tunnel else (),
        home_records=home_records,
        apex_records=apex_records,
        around_home=look_around(client, access.home, wanted.homeserver, home_records),
        around_apex=look_around(client, access.apex, wanted.server_name, apex_records),
        subdomain=has_subdomain(client, access.apex),
        script=find_script(client, access.apex, marks.name_script(wanted.worker, state)),
        routes=list_routes(client, access.apex),
        tokens=list_tokens(client, access) if wanted.mints and not local.token_serves else (),
        settings=readings,
        notes=notes,
        local=local,
    )


def list_tunnels(client: Client, account: str) -> tuple[Tunnel, ...]:
    """Return the tunnels of an account."""
    found = client.list(f"/accounts/{account}/cfd_tunnel", {"is_deleted": "false"})
    return tuple(map(Tunnel.parse, found))


def find_script(client: Client, place: Zone | None, name: str) -> Script | None:
    """Return the Worker of a name, and whether workers.dev shows it.

    An account that has no workers.dev address yet has no such switch either.
    """
    if not place:
        return None
    path = f"/accounts/{place.account}/workers/scripts"
    script = next((s for s in client.get(path) or [] if s["id"] == name), None)
    if not script:
        return None
    doors: dict[str, Any] = client.find(f"{path}/{name}/subdomain") or {}
    public = bool(doors.get("enabled") or doors.get("previews_enabled"))
    return Script(name=name, etag=script.get("etag") or "", public=public)


def has_subdomain(client: Client, place: Zone | None) -> bool:
    """Tell whether an account has a name at workers.dev; where that cannot be seen, it has."""
    if not place:
        return True
    try:
        found = client.get(f"/accounts/{place.account}/workers/subdomain") or {}
    except CloudflareError as error:
        if not error.refused:
            raise
        return not error.missing and NO_SUBDOMAIN not in error.codes
    return bool(found.get("subdomain"))


def list_routes(client: Client, place: Zone | None) -> tuple[Route, ...]:
    """Return the Worker routes of a zone."""
    found = client.get(f"/zones/{place.id}/workers/routes") if place else []
    return tuple(
        Route(id=each["id"], pattern=each["pattern"], script=each.get("script") or "")
        for each in found or []
    )


def list_tokens(client: Client, access: Access) -> tuple[Token, ...] | None:
    """Return the tokens of the token's owner, or None where it may make no others."""
    if not permissions.is_granted(client, permissions.need_tokens(access.owner)):
        return None
    try:
        found = list(client.list(f"{access.owner}/tokens"))
    except CloudflareError as error:
        if error.denied:
            return None
        raise
    return tuple(
        Token(id=each["id"], name=each["name"], active=each.get("status", "active") == "active")
        for each in found
    )


def read_settings(
    client: Client, wanted: Wanted, state: State, access: Access
) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    """Return the settings of the zones, and what is said of those that cannot be read."""
    mark = marks.write_mark(state)
    zones = {access.home.id: access.home} | ({access.apex.id: access.apex} if access.apex else {})
    found = [
        each
        for place in zones.values()
        for each in zone.read_settings(client, wanted, place, mark, home=place.id == access.home.id)
    ]
    found += caching.note_caching(client, wanted, access.home)
    if access.apex:
        found += redirects.note_redirects(client, wanted, access.apex)
    readings = tuple(each for each in found if isinstance(each, Reading))
    return readings, tuple(each for each in found if isinstance(each, str))


def look_locally(client: Client, access: Access, secrets: Secrets, state: State) -> Local:
    """Return what the secrets that lie in the bundle are worth."""
    ours = {m.id for m in state.made}
    strange = bool(secrets.tunnel) and secrets.tunnel not in ours
    if strange and secrets.account == access.home.account:
        path = f"/accounts/{secrets.account}/cfd_tunnel/{secrets.tunnel}"
        known = client.find(path)
        strange = bool(known and not known.get("deleted_at"))
    serves = bool(secrets.token) and permissions.is_granted(
        client.change_token(secrets.token), permissions.need_records(access.home)
    )
    return Local(tunnel=secrets.tunnel, strange=strange, token_serves=serves)
