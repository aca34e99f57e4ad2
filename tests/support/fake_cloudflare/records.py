"""The endpoints of DNS records.

Shapes: Cloudflare's API reference; error codes: reports in terraform-provider-cloudflare#1247,
alchemy-run/distilled#368 and favonia/cloudflare-ddns#990.
"""

from __future__ import annotations

import contextlib
import copy
import ipaddress
from collections.abc import Iterator
from typing import Any

from tests.support.fake_cloudflare.endpoints import (
    FakeRequest,
    Page,
    RefusalError,
    StrangeError,
    endpoint,
    expect,
    get_zone,
    paginate,
)
from tests.support.fake_cloudflare.store import FakeZone, Json, Store

ADDRESSES = {"A", "AAAA", "CNAME"}
PARSERS = {"A": ipaddress.IPv4Address, "AAAA": ipaddress.IPv6Address}
FIELDS = "ttl proxied comment tags settings"
FILTERS = {"type": "type", "name.exact": "name", "content.exact": "content"}


@endpoint(
    "GET", "/zones/{zone}/dns_records", "DNS Read", "DNS Write",
    query="type name.exact content.exact page per_page",
)  # fmt: skip
def list_records(store: Store, request: FakeRequest) -> Page:
    """List records, by their type, exact name and exact content where these are given."""
    query = request.query
    wanted = normalize({field: query[key] for key, field in FILTERS.items() if key in query})
    found = [r for r in get_zone(store, request).records.values() if wanted.items() <= r.items()]
    return paginate(found, query, most=5000, usual=100)


@endpoint("POST", "/zones/{zone}/dns_records", "DNS Write")
def create_record(store: Store, request: FakeRequest) -> Json:
    """Create a record."""
    return add_record(store, get_zone(store, request), request.body)


@endpoint("PUT", "/zones/{zone}/dns_records/{record}", "DNS Write")
def overwrite_record(store: Store, request: FakeRequest) -> Json:
    """Replace a record by another of the same type."""
    zone, identity = get_zone(store, request), request.parts["record"]
    with transact(zone):
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
    """Change many records in one transaction: deletes, patches, posts."""
    zone = get_zone(store, request)
    body = expect(request.body, "", "deletes patches posts")
    with transact(zone):
        return {
            "deletes": [pop_record(store, zone, each["id"]) for each in body.get("deletes", [])],
            "patches": [patch_record(store, zone, each) for each in body.get("patches", [])],
            "posts": [add_record(store, zone, each) for each in body.get("posts", [])],
        }


@contextlib.contextmanager
def transact(zone: FakeZone) -> Iterator[None]:
    """Change records all together, or none of them where one is refused."""
    before = copy.deepcopy(zone.records)
    try:
        yield
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
    body = normalize(expect(body, "type name content", FIELDS))
    check_record(body, zone)
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


def normalize(fields: Json) -> Json:
    """Return fields as they are stored: a name is case-insensitive, quotes are presentation alone."""
    changed = {"name": fields["name"].lower().rstrip(".")} if "name" in fields else {}
    content = fields.get("content", "")
    if len(content) > 1 and content[0] == content[-1] == '"':
        changed["content"] = content[1:-1]
    return fields | changed


def check_record(body: Json, zone: FakeZone) -> None:
    """Refuse what is not a record of the zone."""
    name, content = body["name"], body["content"]
    if name != zone.name and not name.endswith(f".{zone.name}"):
        raise StrangeError(f"{name} is not in {zone.name}", 400, 1004)
    if body["type"] in PARSERS:
        try:
            PARSERS[body["type"]](content)
        except ValueError:
            raise StrangeError(f"{content} is not {body['type']}", 400, 9005) from None
    if body["type"] == "CNAME" and (name == content or "." not in content):
        raise StrangeError(f"{content} is not a target", 400, 9007)
    if len(body.get("comment") or "") > 100:
        raise StrangeError("the comment is too long", 400, 9300)
    if body.get("proxied") and body["type"] not in ADDRESSES:
        raise StrangeError("This record type cannot be proxied.", 400, 9004)
    ttl = body.get("ttl", 1)
    if not isinstance(ttl, int) or (ttl != 1 and not 60 <= ttl <= 86400):
        raise StrangeError(f"{ttl} is not a TTL", 400, 9021)
