"""The endpoints of zones, DNS records, Worker routes, and the zone's settings.

Shapes: Cloudflare's API reference; error codes: reports in terraform-provider-cloudflare#1247,
alchemy-run/distilled#368 and favonia/cloudflare-ddns#990.
"""

from __future__ import annotations

import copy
import ipaddress
from typing import Any

from tests.cloudflare.fake.api import (
    FakeRequest,
    Page,
    RefusalError,
    StrangeError,
    endpoint,
    expect,
    paginate,
)
from tests.cloudflare.fake.store import FakeZone, Json, Store

ADDRESSES = {"A", "AAAA", "CNAME"}
FIELDS = "ttl proxied comment tags settings"


def get_zone(store: Store, request: FakeRequest) -> FakeZone:
    """Return the zone of a request."""
    return store.zones[request.parts["zone"]]


@endpoint("GET", "/zones", query="name page per_page")
def list_zones(store: Store, request: FakeRequest) -> Page:
    """List the zones that the token has anything to do with."""
    wanted = request.query.get("name")
    visible = {resource for _, resource in request.grant.allowed}
    found = [
        {
            "id": zone.id,
            "name": zone.name,
            "status": zone.status,
            "paused": zone.paused,
            "type": zone.type,
            "account": {"id": zone.account, "name": "Example"},
            "plan": {"legacy_id": zone.plan},
            "name_servers": ["ada.ns.cloudflare.com", "bob.ns.cloudflare.com"],
        }
        for zone in store.zones.values()
        if zone.id in visible and wanted in {None, zone.name}
    ]
    return paginate(found, request.query, most=50)


@endpoint(
    "GET", "/zones/{zone}/dns_records", "DNS Read", "DNS Write", query="name.exact page per_page"
)
def list_records(store: Store, request: FakeRequest) -> Page:
    """List records, by their exact name if one is given."""
    name = request.query.get("name.exact")
    found = [r for r in get_zone(store, request).records.values() if name in {None, r["name"]}]
    return paginate(found, request.query, most=5000)


@endpoint("POST", "/zones/{zone}/dns_records", "DNS Write")
def create_record(store: Store, request: FakeRequest) -> Json:
    """Create a record."""
    return add_record(store, get_zone(store, request), request.body)


@endpoint("PUT", "/zones/{zone}/dns_records/{record}", "DNS Write")
def overwrite_record(store: Store, request: FakeRequest) -> Json:
    """Replace a record by another of the same type."""
    zone, identity = get_zone(store, request), request.parts["record"]
    old = pop_record(store, zone, identity)
    if old["type"] != (request.body or {}).get("type"):
        raise StrangeError("a record's type cannot be changed")
    return add_record(store, zone, request.body, identity)


@endpoint("DELETE", "/zones/{zone}/dns_records/{record}", "DNS Write")
def delete_record(store: Store, request: FakeRequest) -> Json:
    """Delete a record."""
    return {"id": pop_record(store, get_zone(store, request), request.parts["record"])["id"]}


@endpoint("POST", "/zones/{zone}/dns_records/batch", "DNS Write")
def change_records(store: Store, request: FakeRequest) -> Json:
    """Change many records in one transaction: deletes, patches, puts, posts."""
    zone = get_zone(store, request)
    body = expect(request.body, "", "deletes patches puts posts")
    before = copy.deepcopy(zone.records)
    try:
        return {
            "deletes": [pop_record(store, zone, each["id"]) for each in body.get("deletes", [])],
            "patches": [patch_record(store, zone, each) for each in body.get("patches", [])],
            "posts": [add_record(store, zone, each) for each in body.get("posts", [])],
        }
    except RefusalError:
        zone.records = before
        raise


def pop_record(store: Store, zone: FakeZone, identity: str) -> Json:
    """Remove a record."""
    if identity not in zone.records:
        raise RefusalError(404, 81044, "Record does not exist.")
    record = zone.records[identity]
    if record["meta"].get("read_only"):
        raise RefusalError(400, 1043, "This record is read only.")
    store.touched.add(identity)
    return zone.records.pop(identity)


def patch_record(store: Store, zone: FakeZone, body: Json) -> Json:
    """Change some fields of a record."""
    expect(body, "id", f"{FIELDS} content")
    record = pop_record(store, zone, body["id"])
    fields = {key: record[key] for key in ("type", "name", "content", "proxied", "ttl", "comment")}
    if body.get("proxied") and not record["proxiable"]:
        raise RefusalError(400, 9004, "This record type cannot be proxied.")
    fields |= {"tags": record["tags"], "settings": record["settings"]}
    fields |= {key: value for key, value in body.items() if key != "id"}
    return add_record(store, zone, fields, body["id"])


def add_record(store: Store, zone: FakeZone, body: Any, identity: str = "") -> Json:
    """Put a record into a zone, if it may be there."""
    body = expect(body, "type name content", FIELDS)
    check_content(body, zone)
    same = [r for r in zone.records.values() if r["name"] == body["name"]]
    if any((r["type"], r["content"]) == (body["type"], body["content"]) for r in same):
        raise RefusalError(400, 81058, "An identical record already exists.")
    if body["type"] == "CNAME" and any(r["type"] in ADDRESSES for r in same):
        raise RefusalError(400, 81053, "An A, AAAA, or CNAME record with that host already exists.")
    if body["type"] in ADDRESSES and any(r["type"] == "CNAME" for r in same):
        raise RefusalError(400, 81054, "A CNAME record with that host already exists.")
    proxied = body.get("proxied", False)
    record = {
        "id": identity or store.make_id(),
        "type": body["type"],
        "name": body["name"],
        "content": body["content"],
        "proxied": proxied,
        "proxiable": body["type"] in ADDRESSES,
        "ttl": 1 if proxied else body.get("ttl", 1),
        "comment": body.get("comment"),
        "tags": body.get("tags", []),
        "settings": body.get("settings", {}),
        "meta": {},
    }
    zone.records[record["id"]] = record
    return record


def check_content(body: Json, zone: FakeZone) -> None:
    """Refuse what is not a record of the zone."""
    name, content = body["name"], body["content"]
    if name != zone.name and not name.endswith(f".{zone.name}"):
        raise StrangeError(f"{name} is not in {zone.name}", 400, 1004)
    if body["type"] in {"A", "AAAA"}:
        version = ipaddress.ip_address(content).version
        if version != {"A": 4, "AAAA": 6}[body["type"]]:
            raise StrangeError(f"{content} is not {body['type']}", 400, 9005)
    if body["type"] == "CNAME" and (name == content or "." not in content):
        raise StrangeError(f"{content} is not a target", 400, 9007)
    if len(body.get("comment") or "") > 100:
        raise StrangeError("the comment is too long", 400, 9300)


@endpoint("GET", "/zones/{zone}/workers/routes", "Workers Routes Read", "Workers Routes Write")
def list_routes(store: Store, request: FakeRequest) -> list[Json]:
    """List all routes of a zone, on one page."""
    return list(get_zone(store, request).routes.values())


@endpoint("POST", "/zones/{zone}/workers/routes", "Workers Routes Write")
def create_route(store: Store, request: FakeRequest) -> Json:
    """Create a route; its Worker has to be everywhere already."""
    zone, body = get_zone(store, request), expect(request.body, "pattern", "script")
    if any(route["pattern"] == body["pattern"] for route in zone.routes.values()):
        raise RefusalError(409, 10020, "A route with the same pattern already exists.")
    return set_route(store, zone, store.make_id(), body)


@endpoint("PUT", "/zones/{zone}/workers/routes/{route}", "Workers Routes Write")
def update_route(store: Store, request: FakeRequest) -> Json:
    """Lead a route to another Worker."""
    zone, identity = get_zone(store, request), request.parts["route"]
    if identity not in zone.routes:
        raise RefusalError(404, 10009, "Route not found.")
    store.touched.add(identity)
    return set_route(store, zone, identity, expect(request.body, "pattern", "script"))


def set_route(store: Store, zone: FakeZone, identity: str, body: Json) -> Json:
    """Put a route into a zone."""
    host = body["pattern"].removeprefix("https://").split("/")[0]
    if not host.endswith(zone.name):
        raise StrangeError(f"{body['pattern']} is not in {zone.name}", 400, 10022)
    script = body.get("script")
    if script and (script not in store.accounts[zone.account].scripts or store.lag):
        store.lag = max(0, store.lag - 1)
        raise RefusalError(
            400, 10019, "Cannot configure a route for a Worker which does not exist."
        )
    route = {"id": identity, "pattern": body["pattern"], "script": script}
    zone.routes[identity] = route
    return route


@endpoint("DELETE", "/zones/{zone}/workers/routes/{route}", "Workers Routes Write")
def delete_route(store: Store, request: FakeRequest) -> Json:
    """Delete a route."""
    zone, identity = get_zone(store, request), request.parts["route"]
    if identity not in zone.routes:
        raise RefusalError(404, 10009, "Route not found.")
    store.touched.add(identity)
    del zone.routes[identity]
    return {"id": identity}


@endpoint("GET", "/zones/{zone}/settings/{name}", "Zone Settings Read", "Zone Settings Write")
def read_setting(store: Store, request: FakeRequest) -> Json:
    """Return one setting."""
    name = request.parts["name"]
    return {"id": name, "value": get_zone(store, request).settings[name], "editable": True}


@endpoint("PATCH", "/zones/{zone}/settings/{name}", "Zone Settings Write")
def edit_setting(store: Store, request: FakeRequest) -> Json:
    """Change one setting."""
    value = expect(request.body, "value")["value"]
    if value not in {"on", "off"}:
        raise StrangeError(f"{value!r} is not a value", 400, 1007)
    get_zone(store, request).settings[request.parts["name"]] = value
    return read_setting(store, request)


@endpoint("GET", "/zones/{zone}/bot_management", "Bot Management Read", "Bot Management Write")
def read_bots(store: Store, request: FakeRequest) -> Json:
    """Return the settings against bots."""
    return get_zone(store, request).bots


@endpoint("PUT", "/zones/{zone}/bot_management", "Bot Management Write")
def edit_bots(store: Store, request: FakeRequest) -> Json:
    """Change some of the settings against bots."""
    bots = get_zone(store, request).bots
    bots |= expect(request.body, "", " ".join(bots))
    return bots


@endpoint("GET", "/zones/{zone}/url_normalization", "Config Settings Write", "Bot Management Write")
def read_normalization(store: Store, request: FakeRequest) -> Json:
    """Return how addresses are normalized."""
    return get_zone(store, request).normalization


@endpoint("PUT", "/zones/{zone}/url_normalization", "Config Settings Write", "Bot Management Write")
def edit_normalization(store: Store, request: FakeRequest) -> Json:
    """Change how addresses are normalized."""
    zone, body = get_zone(store, request), expect(request.body, "scope type")
    if body["scope"] not in {"incoming", "both", "none"}:
        raise StrangeError(f"{body['scope']!r} is not a scope")
    zone.normalization = dict(body)
    return zone.normalization
