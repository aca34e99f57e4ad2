"""What a token may do, found out before anything is changed.

A request to delete what cannot exist needs the very permission and changes nothing: where it is
granted, the answer is "not found". To read a token's own policies would need another permission,
and their names are cosmetic ("Create tokens via API", Cloudflare Fundamentals).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from ..errors import SettingsError
from .refusals import FORBIDDEN, CloudflareError
from .session import Session

# Identifiers of things that cannot exist.
NO_ID: Final = "0" * 32
NO_UUID: Final = "00000000-0000-0000-0000-000000000000"
NO_SCRIPT: Final = "synapse-bundle-does-not-exist"

# Permissions by their names in the dashboard.
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

# The keys that the dashboard's link is known to accept; everything else has to be added there.
_KEYS: Final = (
    ("dns", "edit"),
    ("workers_scripts", "edit"),
    ("workers_routes", "edit"),
    ("zone", "read"),
    ("zone_settings", "edit"),
    ("account_api_tokens", "edit"),
)
# Since 2026 part of the dashboard has other words for the same permissions.
_OTHER_NAMES: Final = (
    'Where the dashboard says "Write", that is "Edit", and "Cloudflare One Connector: cloudflared"'
    ' is "Cloudflare Tunnel"'
)


@dataclass(frozen=True, kw_only=True)
class Permission:
    """A permission by its name in the dashboard, and a path that cannot exist to delete.

    Where a denial may be about the path alone, `create_path` is where an empty request to create
    something is refused for its emptiness if the permission is there.
    """

    name: str
    path: str
    create_path: str = ""


def require(session: Session, permissions: Iterable[Permission]) -> None:
    """Raise SettingsError that lists every missing permission, and every other refusal."""
    missing: dict[str, None] = {}
    others: dict[str, None] = {}
    for permission in dict.fromkeys(permissions):
        refusal = _probe(session, permission)
        if refusal and refusal.denied:
            missing[permission.name] = None
        elif refusal:
            others[f"{refusal.message}; the request was for {permission.name}"] = None
    if others:
        raise SettingsError("Nothing was changed.", [*others, *missing])
    if missing:
        raise SettingsError(
            "The token lacks permissions; nothing was changed. Add them at"
            " https://dash.cloudflare.com/profile/api-tokens; the token's value stays the same."
            f" {_OTHER_NAMES}. Or create an account token, with most of it filled in"
            f" (add {TUNNEL}): {_write_link()}",
            missing,
        )


def is_granted(session: Session, permission: Permission) -> bool:
    """Return whether the token has a permission."""
    return _probe(session, permission) is None


def _probe(session: Session, permission: Permission) -> CloudflareError | None:
    """Return what says that the token may not do something, or None if it may.

    "Not found" means that the permission is granted. A status about access with an unknown code is
    passed on, because the operator has to read it.
    """
    try:
        session.request("DELETE", permission.path)
    except CloudflareError as error:
        if not error.refused:
            raise
        if error.denied and permission.create_path:
            return _probe_creation(session, permission)
        return error if error.denied or error.status in FORBIDDEN else None
    return None


def _probe_creation(session: Session, permission: Permission) -> CloudflareError | None:
    """Return the refusal to create something, or None if only its emptiness is refused."""
    try:
        session.request("POST", permission.create_path, {}, repeatable=True)
    except CloudflareError as error:
        if not error.refused:
            raise
        return error if error.denied or error.status in FORBIDDEN else None
    return None


def read_if_allowed(session: Session, path: str, **query: str) -> Any:
    """Return a result, or None if there is none or the token may not read it."""
    try:
        return session.find(path, query or None)
    except CloudflareError as error:
        if error.refused:
            return None
        raise


def explain(error: CloudflareError, permission: str) -> str:
    """Return why something optional was refused."""
    return f"the token lacks {permission}" if error.denied else error.message


def _write_link() -> str:
    """Return the address of the dashboard's form for a token, with permissions filled in."""
    keys = [{"key": key, "type": kind} for key, kind in _KEYS]
    filled = quote(json.dumps(keys, separators=(",", ":")), safe="")
    form = "https://dash.cloudflare.com/?to=/:account/api-tokens"
    return f"{form}&permissionGroupKeys={filled}&name=synapse-bundle"
