"""The endpoints of rulesets and page rules.

Shapes: Cloudflare's API reference; error code 10003 as in ibm-mas/ansible-devops#2403.
"""

from __future__ import annotations

from typing import Any

from tests.cloudflare.endpoints import get_zone
from tests.cloudflare.fake import NOTHING, RefusalError, Request, StrangeError, endpoint, expect
from tests.cloudflare.world import Json, World

MOST_RULES = 10  # of a free plan
PHASE = "http_config_settings"
CACHE_PHASE = "http_request_cache_settings"
REDIRECT_PHASE = "http_request_dynamic_redirect"
NOBODY = "0" * 32


@endpoint("GET", f"/zones/{{zone}}/rulesets/phases/{CACHE_PHASE}/entrypoint", "Cache Settings Read")
def read_cache_rules(world: World, request: Request) -> Json:
    """Return the rules of the cache."""
    return {"id": NOBODY, "rules": get_zone(world, request).cache_rules}


@endpoint(
    "GET", f"/zones/{{zone}}/rulesets/phases/{REDIRECT_PHASE}/entrypoint",
    "Dynamic URL Redirects Read",
)  # fmt: skip
def read_redirect_rules(world: World, request: Request) -> Json:
    """Return the redirect rules."""
    return {"id": NOBODY, "rules": get_zone(world, request).redirect_rules}


@endpoint("GET", "/zones/{zone}/load_balancers", "Load Balancers Read")
def list_balancers(world: World, request: Request) -> list[Json]:
    """List the load balancers."""
    return get_zone(world, request).balancers


@endpoint("GET", "/zones/{zone}/ssl/certificate_packs", "SSL and Certificates Read")
def list_packs(world: World, request: Request) -> list[Json]:
    """List the certificates of the edge that are active."""
    return get_zone(world, request).packs


@endpoint("GET", "/zones/{zone}/acm/total_tls", "SSL and Certificates Read")
def read_total_tls(world: World, request: Request) -> Json:
    """Return whether every proxied name gets a certificate."""
    return {"enabled": get_zone(world, request).total_tls}


@endpoint("GET", "/zones/{zone}/pagerules", "Page Rules Read", query="status")
def list_page_rules(world: World, request: Request) -> list[Json]:
    """List the page rules, on one page."""
    return get_zone(world, request).page_rules


@endpoint("GET", "/zones/{zone}/rulesets/phases/{phase}/entrypoint", "Config Settings Write")
def read_ruleset(world: World, request: Request) -> Json:
    """Return the rules of a phase; a zone that never had any has no ruleset."""
    ruleset = get_zone(world, request).ruleset
    if request.parts["phase"] != PHASE or ruleset is None:
        raise RefusalError(404, 10003, f"could not find entrypoint ruleset in the {PHASE} phase")
    return {**ruleset, "phase": PHASE, "kind": "zone"}


@endpoint("POST", "/zones/{zone}/rulesets", "Config Settings Write")
def create_ruleset(world: World, request: Request) -> Json:
    """Create the ruleset of a phase."""
    zone, body = get_zone(world, request), expect(request.body, "name kind phase rules")
    if (body["kind"], body["phase"]) != ("zone", PHASE):
        raise StrangeError(f"a ruleset of {body['phase']}")
    if zone.ruleset is not None:
        raise RefusalError(400, 20217, "a ruleset of this phase exists already")
    zone.ruleset = {"id": world.make_id(), "rules": []}
    zone.ruleset["rules"] = [make_rule(world, rule) for rule in body["rules"]]
    return zone.ruleset


@endpoint("POST", "/zones/{zone}/rulesets/{ruleset}/rules", "Config Settings Write")
def add_rule(world: World, request: Request) -> Json:
    """Add a rule behind the others."""
    ruleset = find_ruleset(world, request)
    if len(ruleset["rules"]) >= MOST_RULES:
        raise RefusalError(400, 20217, "exceeded the maximum number of rules in this phase")
    ruleset["rules"].append(make_rule(world, request.body))
    return ruleset


@endpoint("PATCH", "/zones/{zone}/rulesets/{ruleset}/rules/{rule}", "Config Settings Write")
def edit_rule(world: World, request: Request) -> Json:
    """Replace a rule."""
    ruleset, identity = find_ruleset(world, request), request.parts["rule"]
    place = [rule["id"] for rule in ruleset["rules"]].index(identity)
    world.touched.add(identity)
    ruleset["rules"][place] = {**make_rule(world, request.body), "id": identity}
    return ruleset


@endpoint("DELETE", "/zones/{zone}/rulesets/{ruleset}/rules/{rule}", "Config Settings Write")
def delete_rule(world: World, request: Request) -> Json:
    """Delete a rule."""
    ruleset, identity = find_ruleset(world, request), request.parts["rule"]
    kept = [rule for rule in ruleset["rules"] if rule["id"] != identity]
    if len(kept) == len(ruleset["rules"]):
        raise RefusalError(404, 20007, "could not find rule")
    world.touched.add(identity)
    ruleset["rules"] = kept
    return ruleset


@endpoint("DELETE", "/zones/{zone}/rulesets/{ruleset}", "Config Settings Write")
def delete_ruleset(world: World, request: Request) -> object:
    """Delete a ruleset with all its rules; there is no answer but the status."""
    world.touched |= {rule["id"] for rule in find_ruleset(world, request)["rules"]}
    get_zone(world, request).ruleset = None
    return NOTHING


def find_ruleset(world: World, request: Request) -> Json:
    """Return the ruleset of a request."""
    ruleset = get_zone(world, request).ruleset
    if not ruleset or ruleset["id"] != request.parts["ruleset"]:
        raise RefusalError(404, 10003, "could not find ruleset")
    return ruleset


def make_rule(world: World, body: Any) -> Json:
    """Return a configuration rule, if it is one."""
    body = expect(body, "action action_parameters expression description enabled")
    if body["action"] != "set_config" or "http.host eq" not in body["expression"]:
        raise StrangeError(f"no configuration rule: {body}")
    return {**body, "id": world.make_id()}
