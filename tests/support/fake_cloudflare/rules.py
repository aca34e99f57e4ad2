"""The endpoints of rulesets and page rules.

Shapes: Cloudflare's API reference; error code 10003 as in ibm-mas/ansible-devops#2403.
"""

from __future__ import annotations

from typing import Any

from tests.support.fake_cloudflare.endpoints import (
    NOTHING,
    FakeRequest,
    RefusalError,
    StrangeError,
    endpoint,
    expect,
    get_zone,
)
from tests.support.fake_cloudflare.store import Json, Store

MOST_RULES = 10  # of a free plan
PHASE = "http_config_settings"
CACHE_PHASE = "http_request_cache_settings"
REDIRECT_PHASE = "http_request_dynamic_redirect"
NOBODY = "0" * 32


@endpoint("GET", f"/zones/{{zone}}/rulesets/phases/{CACHE_PHASE}/entrypoint", "Cache Settings Read")
def read_cache_rules(store: Store, request: FakeRequest) -> Json:
    """Return the rules of the cache."""
    return {"id": NOBODY, "rules": get_zone(store, request).cache_rules}


@endpoint(
    "GET", f"/zones/{{zone}}/rulesets/phases/{REDIRECT_PHASE}/entrypoint",
    "Dynamic URL Redirects Read",
)  # fmt: skip
def read_redirect_rules(store: Store, request: FakeRequest) -> Json:
    """Return the redirect rules."""
    return {"id": NOBODY, "rules": get_zone(store, request).redirect_rules}


@endpoint("GET", "/zones/{zone}/load_balancers", "Load Balancers Read")
def list_balancers(store: Store, request: FakeRequest) -> list[Json]:
    """List the load balancers."""
    return get_zone(store, request).balancers


@endpoint("GET", "/zones/{zone}/ssl/certificate_packs", "SSL and Certificates Read")
def list_packs(store: Store, request: FakeRequest) -> list[Json]:
    """List the certificates of the edge that are active."""
    return get_zone(store, request).packs


@endpoint("GET", "/zones/{zone}/acm/total_tls", "SSL and Certificates Read")
def read_total_tls(store: Store, request: FakeRequest) -> Json:
    """Return whether every proxied name gets a certificate."""
    return {"enabled": get_zone(store, request).total_tls}


@endpoint("GET", "/zones/{zone}/pagerules", "Page Rules Read", query="status")
def list_page_rules(store: Store, request: FakeRequest) -> list[Json]:
    """List the page rules, on one page."""
    return get_zone(store, request).page_rules


@endpoint("GET", "/zones/{zone}/rulesets/phases/{phase}/entrypoint", "Config Settings Write")
def read_ruleset(store: Store, request: FakeRequest) -> Json:
    """Return the rules of a phase; a zone that never had any has no ruleset."""
    ruleset = get_zone(store, request).ruleset
    if request.parts["phase"] != PHASE or ruleset is None:
        raise RefusalError(404, 10003, f"could not find entrypoint ruleset in the {PHASE} phase")
    return {**ruleset, "phase": PHASE, "kind": "zone"}


@endpoint("POST", "/zones/{zone}/rulesets", "Config Settings Write")
def create_ruleset(store: Store, request: FakeRequest) -> Json:
    """Create the ruleset of a phase."""
    zone, body = get_zone(store, request), expect(request.body, "name kind phase rules")
    if (body["kind"], body["phase"]) != ("zone", PHASE):
        raise StrangeError(f"a ruleset of {body['phase']}")
    if zone.ruleset is not None:
        raise RefusalError(400, 20217, "a ruleset of this phase exists already")
    zone.ruleset = {"id": store.make_id(), "rules": []}
    zone.ruleset["rules"] = [make_rule(store, rule) for rule in body["rules"]]
    return zone.ruleset


@endpoint("POST", "/zones/{zone}/rulesets/{ruleset}/rules", "Config Settings Write")
def add_rule(store: Store, request: FakeRequest) -> Json:
    """Add a rule behind the others."""
    ruleset = find_ruleset(store, request)
    if len(ruleset["rules"]) >= MOST_RULES:
        raise RefusalError(400, 20217, "exceeded the maximum number of rules in this phase")
    ruleset["rules"].append(make_rule(store, request.body))
    return ruleset


@endpoint("PATCH", "/zones/{zone}/rulesets/{ruleset}/rules/{rule}", "Config Settings Write")
def edit_rule(store: Store, request: FakeRequest) -> Json:
    """Replace a rule."""
    ruleset, identity = find_ruleset(store, request), request.parts["rule"]
    place = [rule["id"] for rule in ruleset["rules"]].index(identity)
    store.touched.add(identity)
    ruleset["rules"][place] = {**make_rule(store, request.body), "id": identity}
    return ruleset


@endpoint("DELETE", "/zones/{zone}/rulesets/{ruleset}/rules/{rule}", "Config Settings Write")
def delete_rule(store: Store, request: FakeRequest) -> Json:
    """Delete a rule."""
    ruleset, identity = find_ruleset(store, request), request.parts["rule"]
    kept = [rule for rule in ruleset["rules"] if rule["id"] != identity]
    if len(kept) == len(ruleset["rules"]):
        raise RefusalError(404, 20007, "could not find rule")
    store.touched.add(identity)
    ruleset["rules"] = kept
    return ruleset


@endpoint("DELETE", "/zones/{zone}/rulesets/{ruleset}", "Config Settings Write")
def delete_ruleset(store: Store, request: FakeRequest) -> object:
    """Delete a ruleset with all its rules; there is no answer but the status."""
    store.touched |= {rule["id"] for rule in find_ruleset(store, request)["rules"]}
    get_zone(store, request).ruleset = None
    return NOTHING


def find_ruleset(store: Store, request: FakeRequest) -> Json:
    """Return the ruleset of a request."""
    ruleset = get_zone(store, request).ruleset
    if not ruleset or ruleset["id"] != request.parts["ruleset"]:
        raise RefusalError(404, 10003, "could not find ruleset")
    return ruleset


def make_rule(store: Store, body: Any) -> Json:
    """Return a configuration rule, if it is one."""
    body = expect(body, "action action_parameters expression description enabled")
    if body["action"] != "set_config" or "http.host eq" not in body["expression"]:
        raise StrangeError(f"no configuration rule: {body}")
    return {**body, "id": store.make_id()}
