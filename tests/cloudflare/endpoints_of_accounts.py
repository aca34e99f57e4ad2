"""The endpoints of rulesets, tunnels, Workers and API tokens.

Shapes: Cloudflare's API reference and "Multipart upload metadata"; error codes: 1013 and 1022 as
in linuxserver/docker-mods#280 and tuanngocptn/nport#16, 10007 as in rocicorp/mono#931, 10003 as in
ibm-mas/ansible-devops#2403.
"""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import json
from datetime import UTC, date, datetime
from typing import Any

from tests.cloudflare.endpoints import get_zone
from tests.cloudflare.fake import (
    Page,
    RefusalError,
    Request,
    StrangeError,
    endpoint,
    expect,
    paginate,
)
from tests.cloudflare.world import Account, Grant, Json, World

TUNNEL_READ = ("Cloudflare Tunnel Read", "Cloudflare Tunnel Write")
SCOPE = "com.cloudflare.api.account.zone"
# The first two are there to be mistaken for the third.
GROUPS = {
    "a" * 32: ("DNS Write", "com.cloudflare.api.account"),
    "b" * 32: ("DNS Writers", SCOPE),
    "4755a26eedb94da69e1066d98aa820be": ("DNS Write", SCOPE),
    "82e64a83756745bbbb1c9c2701bf816b": ("DNS Read", SCOPE),
}
PHASE = "http_config_settings"
CACHE_PHASE = "http_request_cache_settings"
NOBODY = "0" * 32


def get_account(world: World, request: Request) -> Account:
    """Return the account of a request."""
    return world.accounts[request.parts["account"]]


@endpoint("GET", f"/zones/{{zone}}/rulesets/phases/{CACHE_PHASE}/entrypoint", "Cache Settings Read")
def read_cache_rules(world: World, request: Request) -> Json:
    """Return the rules of the cache."""
    return {"id": NOBODY, "rules": get_zone(world, request).cache_rules}


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
def delete_ruleset(world: World, request: Request) -> None:
    """Delete a ruleset with all its rules."""
    world.touched |= {rule["id"] for rule in find_ruleset(world, request)["rules"]}
    get_zone(world, request).ruleset = None


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


@endpoint(
    "GET", "/accounts/{account}/cfd_tunnel", *TUNNEL_READ,
    query="is_deleted page per_page",
)  # fmt: skip
def list_tunnels(world: World, request: Request) -> Page:
    """List tunnels, by whether they are deleted."""
    deleted = request.query.get("is_deleted")
    found = [
        describe(tunnel)
        for tunnel in get_account(world, request).tunnels.values()
        if deleted in {None, "true" if tunnel["deleted_at"] else "false"}
    ]
    return paginate(found, request.query, most=1000)


@endpoint("POST", "/accounts/{account}/cfd_tunnel", "Cloudflare Tunnel Write")
def create_tunnel(world: World, request: Request) -> Json:
    """Create a tunnel with a secret of the client's."""
    account, body = (
        get_account(world, request),
        expect(request.body, "name config_src tunnel_secret"),
    )
    if any(t["name"] == body["name"] and not t["deleted_at"] for t in account.tunnels.values()):
        raise RefusalError(409, 1013, "You already have a tunnel with this name.")
    if len(base64.b64decode(body["tunnel_secret"], validate=True)) < 32:
        raise StrangeError("the tunnel's secret is too short")
    tunnel = world.add_tunnel(account, body["name"])
    tunnel |= {"secret": body["tunnel_secret"], "config_src": body["config_src"]}
    return describe(tunnel)


@endpoint("GET", "/accounts/{account}/cfd_tunnel/{tunnel}", *TUNNEL_READ)
def read_tunnel(world: World, request: Request) -> Json:
    """Return a tunnel, a deleted one too."""
    return describe(find_tunnel(world, request))


@endpoint("GET", "/accounts/{account}/cfd_tunnel/{tunnel}/token", "Cloudflare Tunnel Write")
def read_tunnel_token(world: World, request: Request) -> str:
    """Return what cloudflared takes as --token."""
    tunnel = find_tunnel(world, request)
    short = {"a": request.parts["account"], "t": tunnel["id"], "s": tunnel["secret"]}
    return base64.b64encode(json.dumps(short).encode()).decode()


@endpoint(
    "DELETE", "/accounts/{account}/cfd_tunnel/{tunnel}/connections", "Cloudflare Tunnel Write"
)
def close_connections(world: World, request: Request) -> None:
    """Forget a tunnel's connections; a connector that runs comes back at once."""
    tunnel = find_tunnel(world, request)
    if world.clinging:
        world.clinging -= 1
    else:
        tunnel["connections"] = []


@endpoint(
    "DELETE", "/accounts/{account}/cfd_tunnel/{tunnel}", "Cloudflare Tunnel Write", query="cascade"
)
def delete_tunnel(world: World, request: Request) -> Json:
    """Delete a tunnel that nobody uses."""
    tunnel = find_tunnel(world, request)
    if tunnel["deleted_at"]:
        raise RefusalError(404, 1003, "Tunnel not found")
    if tunnel["connections"] and request.query.get("cascade") != "true":
        raise RefusalError(400, 1022, "Cannot delete tunnel because it has active connections")
    world.touched.add(tunnel["id"])
    tunnel |= {"deleted_at": "2026-11-24T00:00:00Z", "connections": []}
    return describe(tunnel)


def find_tunnel(world: World, request: Request) -> Json:
    """Return the tunnel of a request."""
    tunnel = get_account(world, request).tunnels.get(request.parts["tunnel"])
    if not tunnel:
        raise RefusalError(404, 1003, "Tunnel not found")
    return tunnel


def describe(tunnel: Json) -> Json:
    """Return a tunnel as the API shows it: without its secret."""
    status = "healthy" if tunnel["connections"] else "inactive"
    return {key: value for key, value in tunnel.items() if key != "secret"} | {"status": status}


@endpoint(
    "GET", "/accounts/{account}/workers/scripts", "Workers Scripts Read", "Workers Scripts Write"
)
def list_scripts(world: World, request: Request) -> list[Json]:
    """List all Workers, on one page."""
    return [show_script(script) for script in get_account(world, request).scripts.values()]


@endpoint("PUT", "/accounts/{account}/workers/scripts/{script}", "Workers Scripts Write")
def upload_script(world: World, request: Request) -> Json:
    """Upload a Worker; workers.dev shows a new one."""
    account, name = get_account(world, request), request.parts["script"]
    metadata, modules = read_parts(request)
    expect(metadata, "main_module compatibility_date tags")
    if (
        not date(2021, 11, 2)
        <= date.fromisoformat(metadata["compatibility_date"])
        <= datetime.now(UTC).date()
    ):
        raise StrangeError(f"no compatibility date: {metadata['compatibility_date']}")
    if set(modules) != {metadata["main_module"]}:
        raise StrangeError(f"main_module {metadata['main_module']} is not among {set(modules)}")
    old = account.scripts.get(name, {"enabled": True, "previews": True})
    world.touched.add(name)
    digest = hashlib.sha256(modules[metadata["main_module"]]).hexdigest()
    account.scripts[name] = {**old, "id": name, "etag": digest, "tags": metadata["tags"]}
    return show_script(account.scripts[name])


def read_parts(request: Request) -> tuple[Json, dict[str, bytes]]:
    """Return the metadata and the modules of a multipart upload."""
    head = f"Content-Type: {request.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.content, policy=email.policy.HTTP)
    metadata, modules = None, {}
    for part in message.iter_parts():
        payload = part.get_payload(decode=True)
        if part.get_param("name", header="content-disposition") == "metadata":
            metadata = json.loads(payload)
        elif part.get_content_type() == "application/javascript+module":
            modules[str(part.get_filename())] = payload
        else:
            raise StrangeError(f"a part of type {part.get_content_type()}")
    if metadata is None:
        raise StrangeError("an upload without metadata")
    return metadata, modules


@endpoint("DELETE", "/accounts/{account}/workers/scripts/{script}", "Workers Scripts Write")
def delete_script(world: World, request: Request) -> None:
    """Delete a Worker that no route needs."""
    account, name = get_account(world, request), request.parts["script"]
    if name not in account.scripts:
        raise RefusalError(404, 10007, "workers.api.error.script_not_found")
    for zone in world.zones.values():
        if any(route["script"] == name for route in zone.routes.values()):
            raise StrangeError(f"{name} is deleted although a route leads to it")
    world.touched.add(name)
    del account.scripts[name]


@endpoint(
    "GET", "/accounts/{account}/workers/scripts/{script}/subdomain",
    "Workers Scripts Read", "Workers Scripts Write",
)  # fmt: skip
def read_subdomain(world: World, request: Request) -> Json:
    """Return whether workers.dev shows a Worker."""
    account = get_account(world, request)
    script = account.scripts.get(request.parts["script"])
    if not script or not account.subdomain:
        raise RefusalError(404, 10007, "workers.api.error.script_not_found")
    return {"enabled": script["enabled"], "previews_enabled": script["previews"]}


@endpoint("POST", "/accounts/{account}/workers/scripts/{script}/subdomain", "Workers Scripts Write")
def edit_subdomain(world: World, request: Request) -> Json:
    """Show a Worker at workers.dev, or hide it."""
    read_subdomain(world, request)
    body = expect(request.body, "enabled previews_enabled")
    script = get_account(world, request).scripts[request.parts["script"]]
    script |= {"enabled": body["enabled"], "previews": body["previews_enabled"]}
    return read_subdomain(world, request)


def show_script(script: Json) -> Json:
    """Return a Worker as the API lists it."""
    return {key: script[key] for key in ("id", "etag", "tags")}


def get_owner(request: Request) -> str:
    """Return whose tokens a request is about."""
    return request.parts.get("account", "user")


def verify_token(_: World, request: Request) -> Json:
    """Return how the token itself is."""
    if request.grant.owner != get_owner(request):
        raise RefusalError(401, 1000, "Invalid API Token")
    return {"id": request.grant.id, "status": request.grant.status}


def list_tokens(world: World, request: Request) -> Page:
    """List tokens; this list does not say how many pages it has."""
    found = [
        {"id": grant.id, "name": grant.name, "status": grant.status}
        for grant in world.grants.values()
        if grant.owner == get_owner(request)
    ]
    return paginate(found, request.query, most=50, counted=False)


def list_groups(_: World, request: Request) -> list[Json]:
    """List permissions whose name begins in a certain way."""
    prefix = request.query.get("name", "")
    return [
        {"id": identity, "name": name, "scopes": [scope]}
        for identity, (name, scope) in GROUPS.items()
        if name.startswith(prefix)
    ]


def create_token(world: World, request: Request) -> Json:
    """Create a token; its value is shown this once."""
    body = expect(request.body, "name policies")
    if not 0 < len(body["name"]) <= 120:
        raise StrangeError("name must have a length between 1 and 120")
    allowed = set()
    for policy in body["policies"]:
        expect(policy, "effect resources permission_groups")
        for resource, verbs in policy["resources"].items():
            zone = resource.removeprefix(f"{SCOPE}.")
            if zone not in world.zones or verbs != "*":
                raise StrangeError(f"no resource: {resource}")
            for each in policy["permission_groups"]:
                name, scope = GROUPS[each["id"]]
                if scope != SCOPE:
                    raise StrangeError(f"{name} of {scope} for a zone")
                allowed.add((name, zone))
    grant = Grant(
        value=make_value(world),
        id=world.make_id(),
        name=body["name"],
        owner=get_owner(request),
        allowed=allowed,
    )
    world.grants[grant.id] = grant
    return {"id": grant.id, "name": grant.name, "status": "active", "value": grant.value}


def roll_token(world: World, request: Request) -> str:
    """Give a token a new value."""
    expect(request.body, "")
    grant = find_grant(world, request)
    world.touched.add(grant.id)
    grant.value = make_value(world)
    return grant.value


def delete_token(world: World, request: Request) -> Json:
    """Revoke a token."""
    grant = find_grant(world, request)
    world.touched.add(grant.id)
    del world.grants[grant.id]
    return {"id": grant.id}


def find_grant(world: World, request: Request) -> Grant:
    """Return the token of a request."""
    grant = world.grants.get(request.parts["token"])
    if not grant or grant.owner != get_owner(request):
        raise RefusalError(404, 1003, "Token not found")
    return grant


def make_value(world: World) -> str:
    """Return a token's value."""
    return f"minted_{world.make_id()}_{world.make_id()}"[:53]


for _owner, _name in (("/user", "API Tokens"), ("/accounts/{account}", "Account API Tokens")):
    _read = (f"{_name} Read", f"{_name} Write")
    endpoint("GET", f"{_owner}/tokens/verify")(verify_token)
    endpoint("GET", f"{_owner}/tokens/permission_groups", *_read, query="name scope")(list_groups)
    endpoint("GET", f"{_owner}/tokens", *_read, query="page per_page")(list_tokens)
    endpoint("POST", f"{_owner}/tokens", _read[1])(create_token)
    endpoint("PUT", f"{_owner}/tokens/{{token}}/value", _read[1])(roll_token)
    endpoint("DELETE", f"{_owner}/tokens/{{token}}", _read[1])(delete_token)
