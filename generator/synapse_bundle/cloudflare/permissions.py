"""Whose token it is and what it may do, found out before anything is changed.

A request to delete what cannot exist asks for the very permission and changes nothing: the answer
is "no such thing" where it is granted. A token's own policies would need another permission to be
read, and their names are cosmetic ("Create tokens via API", Cloudflare Fundamentals).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from ..errors import SettingsError
from .desired import Zone
from .session import FORBIDDEN, Client, CloudflareError
from .state import Kind, Made

NOBODY: Final = "0" * 32
NO_TUNNEL: Final = "00000000-0000-0000-0000-000000000000"
NO_SCRIPT: Final = "synapse-bundle-nobody"

TUNNEL: Final = "Account → Cloudflare Tunnel: Edit"
SCRIPTS: Final = "Account → Workers Scripts: Edit"
DNS: Final = "Zone → DNS: Edit"
ROUTES: Final = "Zone → Workers Routes: Edit"
ZONE: Final = "Zone → Zone: Read"
SETTINGS: Final = "Zone → Zone Settings: Edit"
BOTS: Final = "Zone → Bot Management: Edit"
RULES: Final = "Zone → Config Rules: Edit"
USER_TOKENS: Final = "User → API Tokens: Edit"
ACCOUNT_TOKENS: Final = "Account → Account API Tokens: Edit"

USER: Final = "/user"

# The keys that the dashboard's link is known to take; what else is needed has to be added there.
KEYS: Final = (
    ("dns", "edit"),
    ("workers_scripts", "edit"),
    ("workers_routes", "edit"),
    ("zone", "read"),
    ("zone_settings", "edit"),
    ("account_api_tokens", "edit"),
)
# A part of the dashboard has other words for the same permissions since 2026.
OTHER_NAMES: Final = (
    'Where the dashboard says "Write", that is "Edit", and "Cloudflare One Connector: cloudflared"'
    ' is "Cloudflare Tunnel"'
)


@dataclass(frozen=True, kw_only=True)
class Need:
    """A permission by its name in the dashboard, and a path that cannot exist to delete.

    Where a no may be about the path alone, `making` is where an empty request to make something
    is refused for its emptiness if the permission is there.
    """

    name: str
    path: str
    making: str = ""


def find_owner(client: Client, account: str) -> str:
    """Return where the client's token belongs in the API: `/user` or `/accounts/ID`, or "" if it is refused.

    `account` is the one to ask where the token is not a user's.
    """
    for owner in [USER, f"/accounts/{account}"] if account else [USER]:
        try:
            if client.get(f"{owner}/tokens/verify")["status"] == "active":
                return owner
        except CloudflareError as error:
            if error.elsewhere:
                raise SettingsError(
                    f"{error.message}. The token's Client IP Address Filtering does not let this"
                    " machine's address in"
                ) from error
            if not error.refused:
                raise
    return ""


def list_needs(home: Zone, apex: Zone | None) -> Iterator[Need]:
    """Yield what an apply cannot do without."""
    yield need_tunnels(home.account)
    yield need_records(home)
    if apex:
        yield need_records(apex)
        yield Need(name=SCRIPTS, path=f"/accounts/{apex.account}/workers/scripts/{NO_SCRIPT}")
        yield Need(name=ROUTES, path=f"/zones/{apex.id}/workers/routes/{NOBODY}")


def list_needs_of(made: Iterable[Made]) -> Iterator[Need]:
    """Yield what it takes to take things back; a setting that may not be put back stops nothing."""
    for each in made:
        if each.kind is Kind.TOKEN:
            yield need_tokens(each.place)
        elif each.kind is Kind.TUNNEL:
            yield need_tunnels(each.place)
        elif each.kind in PATHS:
            name, path = PATHS[each.kind]
            yield Need(name=name, path=path.format(each.place))


def need_records(place: Zone) -> Need:
    """Return what it takes to change a zone's DNS."""
    return Need(name=DNS, path=f"/zones/{place.id}/dns_records/{NOBODY}")


def need_tunnels(account: str) -> Need:
    """Return what it takes to make and delete tunnels."""
    path = f"/accounts/{account}/cfd_tunnel"
    return Need(name=TUNNEL, path=f"{path}/{NO_TUNNEL}", making=path)


def need_tokens(owner: str) -> Need:
    """Return what it takes to make and revoke tokens."""
    path = f"{owner}/tokens"
    return Need(name=name_tokens(owner), path=f"{path}/{NOBODY}", making=path)


def name_tokens(owner: str) -> str:
    """Return the permission that making tokens takes."""
    return USER_TOKENS if owner == USER else ACCOUNT_TOKENS


def require(client: Client, needs: Iterable[Need]) -> None:
    """Raise SettingsError that lists every permission the token lacks, and every other refusal."""
    missing: dict[str, None] = {}
    others: dict[str, None] = {}
    for need in dict.fromkeys(needs):
        refusal = try_out(client, need)
        if refusal and refusal.denied:
            missing[need.name] = None
        elif refusal:
            others[f"{refusal.message}; it was asked for {need.name}"] = None
    if others:
        raise SettingsError("Nothing was changed.", [*others, *missing])
    if missing:
        raise SettingsError(
            "The token lacks permissions; nothing was changed. Add them to it at"
            " https://dash.cloudflare.com/profile/api-tokens, its value stays the same."
            f" {OTHER_NAMES}. Or make a token of the account, most of it filled in"
            f" (add {TUNNEL}): {write_link()}",
            missing,
        )


def is_granted(client: Client, need: Need) -> bool:
    """Tell whether the token has a permission."""
    return try_out(client, need) is None


def try_out(client: Client, need: Need) -> CloudflareError | None:
    """Return what says that the token may not do something, or None where it may.

    That there is no such thing to delete is a yes. A status that speaks of access, without a code
    that is known to, is what the operator has to read.
    """
    try:
        client.request("DELETE", need.path)
    except CloudflareError as error:
        if not error.refused:
            raise
        if error.denied and need.making:
            return try_to_make(client, need)
        return error if error.denied or error.status in FORBIDDEN else None
    return None


def try_to_make(client: Client, need: Need) -> CloudflareError | None:
    """Return the refusal to make something, or None where only its emptiness is refused."""
    try:
        client.request("POST", need.making, {}, repeatable=True)
    except CloudflareError as error:
        if not error.refused:
            raise
        return error if error.denied or error.status in FORBIDDEN else None
    return None


def try_to_read(client: Client, path: str, **query: str) -> Any:
    """Return a result, or None where there is none or the token may not see it."""
    try:
        return client.find(path, query or None)
    except CloudflareError as error:
        if error.refused:
            return None
        raise


def explain(error: CloudflareError, permission: str) -> str:
    """Return why something optional was refused."""
    return f"the token lacks {permission}" if error.denied else error.message


def write_link() -> str:
    """Return the address of the dashboard's form for a token, with permissions filled in."""
    keys = [{"key": key, "type": kind} for key, kind in KEYS]
    filled = quote(json.dumps(keys, separators=(",", ":")), safe="")
    place = "https://dash.cloudflare.com/?to=/:account/api-tokens"
    return f"{place}&permissionGroupKeys={filled}&name=synapse-bundle"


PATHS: Final = {
    Kind.ROUTE: (ROUTES, "/zones/{}/workers/routes/" + NOBODY),
    Kind.WORKER: (SCRIPTS, "/accounts/{}/workers/scripts/" + NO_SCRIPT),
    Kind.RECORD: (DNS, "/zones/{}/dns_records/" + NOBODY),
    Kind.PROXY: (DNS, "/zones/{}/dns_records/" + NOBODY),
}
