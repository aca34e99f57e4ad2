"""Rules of the operator's that may cache media or redirect before the Worker runs.

Sources: "Cache rules settings" (edge TTL), "Redirect rules" and "Page Rules" of Cloudflare's
documentation. Whether a rule's expression matches a request is not known here, so they are reported
and left.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from .desired import Desired
from .permissions import read_if_allowed
from .session import Session
from .zone import Zone

_CACHE: Final = "http_request_cache_settings"
_REDIRECT: Final = "http_request_dynamic_redirect"
_CACHE_EVERYTHING: Final = {"id": "cache_level", "value": "cache_everything"}


def note_caching(session: Session, desired: Desired, zone: Zone) -> Iterator[str]:
    """Yield a sentence on each rule that may cache media; nothing if the token may not read them."""
    names = [
        f"the cache rule {_name(rule)}"
        for rule in _list_rules(session, zone, _CACHE)
        if ((rule.get("action_parameters") or {}).get("edge_ttl") or {}).get("mode")
        == "override_origin"
    ]
    names += [
        f"the page rule {pattern}"
        for pattern, actions in _list_page_rules(session, zone, f"{desired.homeserver}/_matrix/")
        if _CACHE_EVERYTHING in actions
    ]
    for name in names:
        yield f"{name} may cache media; exempt {desired.homeserver} from it"


def note_redirects(session: Session, desired: Desired, zone: Zone) -> Iterator[str]:
    """Yield a sentence on each rule that may redirect; nothing if the token may not read them."""
    path = f"{desired.server_name}/.well-known/matrix/"
    names = [f"the redirect rule {_name(r)}" for r in _list_rules(session, zone, _REDIRECT)]
    names += [
        f"the page rule {pattern}"
        for pattern, actions in _list_page_rules(session, zone, path)
        if any(action["id"] == "forwarding_url" for action in actions)
    ]
    for name in names:
        yield f"{name} may redirect https://{path} before the Worker runs; exempt that path from it"


def _list_rules(session: Session, zone: Zone, phase: str) -> list[Any]:
    """Return the enabled rules of a phase."""
    path = f"/zones/{zone.id}/rulesets/phases/{phase}/entrypoint"
    ruleset = read_if_allowed(session, path) or {}
    return [rule for rule in ruleset.get("rules") or [] if rule.get("enabled")]


def _name(rule: dict[str, Any]) -> str:
    return repr(rule.get("description") or rule["id"])


def _list_page_rules(session: Session, zone: Zone, address: str) -> Iterator[tuple[str, list[Any]]]:
    """Yield pattern and actions of the page rules that match what an address begins."""
    for rule in read_if_allowed(session, f"/zones/{zone.id}/pagerules", status="active") or []:
        pattern = rule["targets"][0]["constraint"]["value"]
        if _matches(pattern, address):
            yield pattern, rule["actions"]


def _matches(pattern: str, address: str) -> bool:
    """Return whether a page rule's pattern matches addresses that begin with this one."""
    bare = pattern.partition("://")[2] if "://" in pattern else pattern
    return re.match(".*".join(map(re.escape, bare.split("*"))), f"{address}x") is not None
