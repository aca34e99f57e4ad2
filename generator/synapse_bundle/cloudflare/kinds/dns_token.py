"""The helper's own token, for one zone's DNS and nothing else.

Source: "Create tokens via API" of Cloudflare Fundamentals; API reference of user/tokens and
accounts/tokens. The value is given once; a lost one can only be rolled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from ... import imports
from .. import ownership as marks
from .. import removal as undoing
from ..apply_run import Work
from ..desired import Json
from ..permissions import try_to_read
from ..removal import Undoing
from ..session import Client, CloudflareError
from ..state import Kind, Made, State

PERMISSION: Final = "DNS Write"
SCOPE: Final = "com.cloudflare.api.account.zone"


def mint(work: Work) -> None:
    """Make the token, or give the one whose value was lost a new value."""
    if imports.TOKEN in work.given:
        return
    owner, name = work.found.access.owner, marks.name_token(work.state, work.home.name)
    made = work.remember(Made(kind=Kind.TOKEN, place=owner, name=name))
    token = next((t for t in work.found.tokens or () if t.name == name), None)
    known = token.id if token and token.active else ""
    if token and not known:
        work.client.send("DELETE", f"{owner}/tokens/{token.id}")
    if known:
        value = work.client.send("PUT", f"{owner}/tokens/{known}/value", {})
    else:
        policy = {
            "effect": "allow",
            "resources": {f"{SCOPE}.{work.home.id}": "*"},
            "permission_groups": [{"id": find_permission(work.client, owner)}],
        }
        body = {"name": name, "policies": [policy]}
        minted = order(work, f"{owner}/tokens", body)
        known, value = minted["id"], minted["value"]
    work.given[imports.TOKEN] = value
    work.remember(replace(made, id=known))


def order(work: Work, path: str, body: Json) -> Json:
    """Return a new token; raises CloudflareError that says how to do without where it is refused."""
    try:
        minted: Json = work.client.send("POST", path, body)
    except CloudflareError as error:
        if not error.refused:
            raise
        raise CloudflareError(
            f"{error.message}. The helper's token could not be made. Delete tokens that you no"
            " longer use (a user may have 50) or bring one along: apply --dns-token-file FILE",
            status=error.status,
            codes=error.codes,
        ) from error
    return minted


def find_permission(client: Client, owner: str) -> str:
    """Return the id of the permission to edit DNS; raises CloudflareError where there is none.

    The list is one page. Its filter by name is not used: how it takes a space is not documented.
    """
    for each in client.get(f"{owner}/tokens/permission_groups"):
        if each["name"] == PERMISSION and SCOPE in each["scopes"]:
            return str(each["id"])
    raise CloudflareError(f"Cloudflare knows no permission {PERMISSION!r} any more")


def examine(client: Client, made: Made, state: State) -> Undoing:
    """Return how the helper's token is revoked; one without the bundle's mark is kept."""
    path, text = f"{made.place}/tokens", f"API token {made.name}"
    found = [t for t in client.list(path) if made.id == t["id"] or made.name == t["name"]]
    ours = [t for t in found if t["name"].startswith(f"{marks.write_mark(state)} ")]
    if found and not ours:
        return undoing.keep(made, text)
    paths = [f"{path}/{token['id']}" for token in ours]
    return undoing.delete(made, text, *paths) if paths else undoing.gone(made, text)


def is_alive(client: Client, made: Made, secret: str) -> bool:
    """Tell whether the token in the bundle is the one that was made, and Cloudflare accepts it."""
    if not secret:
        return False
    verified = try_to_read(client.change_token(secret), f"{made.place}/tokens/verify") or {}
    return verified.get("status") == "active" and verified.get("id") == made.id
