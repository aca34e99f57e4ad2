"""The helper's own token, for one zone's DNS and nothing else.

Source: "Create tokens via API" of Cloudflare Fundamentals; API reference of user/tokens and
accounts/tokens. The value is given once; a lost one can only be rolled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from .. import imports
from . import marks, undoing
from .client import Client, CloudflareError
from .state import Kind, Made, State
from .undoing import Undoing
from .work import Work

PERMISSION: Final = "DNS Write"
SCOPE: Final = "com.cloudflare.api.account.zone"


def mint(work: Work) -> None:
    """Make the token, or give the one whose value was lost a new value."""
    if imports.TOKEN in work.given:
        return
    owner, name = work.found.access.owner, marks.name_token(work.state, work.home.name)
    made = work.remember(Made(kind=Kind.TOKEN, place=owner, name=name))
    known = next((t.id for t in work.found.tokens or () if t.name == name), "")
    if known:
        value = work.client.send("PUT", f"{owner}/tokens/{known}/value", {})
    else:
        policy = {
            "effect": "allow",
            "resources": {f"{SCOPE}.{work.home.id}": "*"},
            "permission_groups": [{"id": find_permission(work.client, owner)}],
        }
        body = {"name": name, "policies": [policy]}
        token = work.client.send("POST", f"{owner}/tokens", body)
        known, value = token["id"], token["value"]
    work.given[imports.TOKEN] = value
    work.remember(replace(made, id=known))


def find_permission(client: Client, owner: str) -> str:
    """Return the id of the permission to edit DNS; raises CloudflareError where there is none."""
    for each in client.get(f"{owner}/tokens/permission_groups", {"name": PERMISSION}):
        if each["name"] == PERMISSION and SCOPE in each["scopes"]:
            return str(each["id"])
    raise CloudflareError(f"Cloudflare knows no permission {PERMISSION!r} any more")


def examine(client: Client, made: Made, _: State) -> Undoing:
    """Return how the helper's token is revoked."""
    path, text = f"{made.place}/tokens", f"API token {made.name}"
    found = client.list(path)
    ours = [f"{path}/{t['id']}" for t in found if made.id == t["id"] or made.name == t["name"]]
    return undoing.delete(made, text, *ours) if ours else undoing.gone(made, text)
