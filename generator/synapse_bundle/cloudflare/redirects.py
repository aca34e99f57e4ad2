"""Rules of the operator's that may answer for the well-known paths before the Worker is asked.

Sources: "Redirect rules" and "Page Rules" of Cloudflare's documentation. Whether a rule's
expression is true for a request is not known here, so they are told and left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .desired import Wanted, Zone
from .operator_rules import covers
from .permissions import try_to_read
from .session import Client

PHASE: Final = "http_request_dynamic_redirect"


def note_redirects(client: Client, wanted: Wanted, place: Zone) -> Iterator[str]:
    """Yield what may redirect; nothing where the token may not look."""
    ruleset = try_to_read(client, f"/zones/{place.id}/rulesets/phases/{PHASE}/entrypoint") or {}
    for rule in ruleset.get("rules") or []:
        if rule.get("enabled"):
            yield write_note(f"the redirect rule {rule.get('description') or rule['id']!r}", wanted)
    for rule in try_to_read(client, f"/zones/{place.id}/pagerules", status="active") or []:
        pattern = rule["targets"][0]["constraint"]["value"]
        forwards = any(action["id"] == "forwarding_url" for action in rule["actions"])
        if forwards and covers(pattern, f"{wanted.server_name}/.well-known/matrix/"):
            yield write_note(f"the page rule {pattern}", wanted)


def write_note(name: str, wanted: Wanted) -> str:
    """Return what is said of a rule."""
    return (
        f"{name} may redirect https://{wanted.server_name}/.well-known/matrix/ before the Worker is"
        " asked; exempt that path from it"
    )
