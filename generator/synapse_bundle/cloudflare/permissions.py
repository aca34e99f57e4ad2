"""Whose token it is and what it may do, found out before anything is changed.

A request to delete what cannot exist asks for the very permission and changes nothing: the answer
is "no such thing" where it is granted. A token's own policies would need another permission to be
read, and their names are cosmetic ("Create tokens via API", Cloudflare Fundamentals).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from ..errors import SettingsError
from .client import Client, CloudflareError
from .resources import Zone
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


@dataclass(frozen=True, kw_only=True)
class Need:
    """A permission by its name in the dashboard, and the request whose answer tells of it."""

    name: str
    path: str
    method: str = "DELETE"


def find_owner(client: Client, account: str) -> str:
    """Return where the client's token belongs in the API: `/user` or `/accounts/ID`, or "" if it is refused.

    `account` is the one to ask where the token is not a user's.
    """
    for owner in [USER, f"/accounts/{account}"] if account else [USER]:
        try:
            if client.get(f"{owner}/tokens/verify")["status"] == "active":
                return owner
        except CloudflareError as error:
            if not error.codes:
                raise
    return ""


def list_needs(home: Zone, apex: Zone | None) -> Iterator[Need]:
    """Yield what an apply cannot do without."""
    yield Need(name=TUNNEL, path=f"/accounts/{home.account}/cfd_tunnel/{NO_TUNNEL}")
    yield need_records(home)
    if apex:
        yield need_records(apex)
        yield Need(name=SCRIPTS, path=f"/accounts/{apex.account}/workers/scripts/{NO_SCRIPT}")
        yield Need(name=ROUTES, path=f"/zones/{apex.id}/workers/routes/{NOBODY}")


def list_needs_of(made: Iterable[Made]) -> Iterator[Need]:
    """Yield what it takes to take things back."""
    for each in made:
        if each.kind is Kind.TOKEN:
            yield need_tokens(each.place)
            continue
        name, path = PATHS[each.kind]
        method = "GET" if each.kind in {Kind.SETTING, Kind.RULE} else "DELETE"
        yield Need(name=name, path=path.format(each.place), method=method)


def need_records(place: Zone) -> Need:
    """Return what it takes to change a zone's DNS."""
    return Need(name=DNS, path=f"/zones/{place.id}/dns_records/{NOBODY}")


def need_tokens(owner: str) -> Need:
    """Return what it takes to make and revoke tokens."""
    return Need(name=name_tokens(owner), path=f"{owner}/tokens/{NOBODY}")


def name_tokens(owner: str) -> str:
    """Return the permission that making tokens takes."""
    return USER_TOKENS if owner == USER else ACCOUNT_TOKENS


def require(client: Client, needs: Iterable[Need]) -> None:
    """Raise SettingsError that lists every permission the token lacks."""
    missing = dict.fromkeys(
        need.name for need in dict.fromkeys(needs) if not is_granted(client, need)
    )
    if missing:
        raise SettingsError(
            "The token lacks permissions; nothing was changed. Add them to it at"
            " https://dash.cloudflare.com/profile/api-tokens, its value stays the same:",
            missing,
        )


def is_granted(client: Client, need: Need) -> bool:
    """Tell whether the token has a permission."""
    try:
        client.request(need.method, need.path)
    except CloudflareError as error:
        if not error.codes and not error.denied:
            raise
        return not error.denied
    return True


PATHS: Final = {
    Kind.ROUTE: (ROUTES, "/zones/{}/workers/routes/" + NOBODY),
    Kind.WORKER: (SCRIPTS, "/accounts/{}/workers/scripts/" + NO_SCRIPT),
    Kind.RECORD: (DNS, "/zones/{}/dns_records/" + NOBODY),
    Kind.PROXY: (DNS, "/zones/{}/dns_records/" + NOBODY),
    Kind.SETTING: (f"{SETTINGS}, {BOTS}", "/zones/{}/bot_management"),
    Kind.RULE: (RULES, "/zones/{}/rulesets/phases/http_config_settings/entrypoint"),
    Kind.TUNNEL: (TUNNEL, "/accounts/{}/cfd_tunnel/" + NO_TUNNEL),
}
