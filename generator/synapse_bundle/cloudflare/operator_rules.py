"""Rules of the operator's that would keep media in Cloudflare's cache, whatever Apache says of it.

Sources: "Cache rules settings" (edge TTL) and "Page Rules" of Cloudflare's documentation. Whether a
rule's expression is true for a request is not known here, so they are told and left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from .desired import Wanted, Zone
from .permissions import try_to_read
from .session import Client

PHASE: Final = "http_request_cache_settings"


def note_caching(client: Client, wanted: Wanted, place: Zone) -> Iterator[str]:
    """Yield what may keep media; nothing where the token may not look."""
    ruleset = try_to_read(client, f"/zones/{place.id}/rulesets/phases/{PHASE}/entrypoint") or {}
    for rule in ruleset.get("rules") or []:
        lifetime = (rule.get("action_parameters") or {}).get("edge_ttl") or {}
        if rule.get("enabled") and lifetime.get("mode") == "override_origin":
            name = f"the cache rule {rule.get('description') or rule['id']!r}"
            yield write_note(name, wanted)
    for rule in try_to_read(client, f"/zones/{place.id}/pagerules", status="active") or []:
        pattern = rule["targets"][0]["constraint"]["value"]
        everything = {"id": "cache_level", "value": "cache_everything"} in rule["actions"]
        if everything and covers(pattern, f"{wanted.homeserver}/_matrix/"):
            yield write_note(f"the page rule {pattern}", wanted)


def covers(pattern: str, address: str) -> bool:
    """Tell whether a page rule's pattern matches addresses that begin so."""
    parts = map(
        re.escape,
        pattern.partition("://")[2].split("*") if "://" in pattern else pattern.split("*"),
    )
    return re.match(".*".join(parts), f"{address}x") is not None


def write_note(name: str, wanted: Wanted) -> str:
    """Return what is said of a rule."""
    return f"{name} may keep media in the cache; exempt {wanted.homeserver} from it"
