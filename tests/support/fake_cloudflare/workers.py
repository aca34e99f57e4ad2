"""The endpoints of Workers and of their routes.

Shapes: Cloudflare's API reference and "Multipart upload metadata"; error code 10007 as in
rocicorp/mono#931.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
import json
from datetime import UTC, date, datetime

from tests.support.fake_cloudflare.endpoints import (
    NOTHING,
    FakeRequest,
    RefusalError,
    StrangeError,
    endpoint,
    expect,
    get_account,
    get_zone,
)
from tests.support.fake_cloudflare.store import FakeZone, Json, Store


@endpoint(
    "GET", "/accounts/{account}/workers/scripts", "Workers Scripts Read", "Workers Scripts Write"
)
def list_scripts(store: Store, request: FakeRequest) -> list[Json]:
    """List all Workers, on one page."""
    return [show_script(script) for script in get_account(store, request).scripts.values()]


@endpoint("PUT", "/accounts/{account}/workers/scripts/{script}", "Workers Scripts Write")
def upload_script(store: Store, request: FakeRequest) -> Json:
    """Upload a Worker; workers.dev shows a new one."""
    account, name = get_account(store, request), request.parts["script"]
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
    if store.needy and not account.subdomain:
        raise RefusalError(400, 10063, "You need a workers.dev subdomain in order to proceed")
    old = account.scripts.get(name, {"enabled": True, "previews": True})
    store.touched.add(name)
    digest = hashlib.sha256(modules[metadata["main_module"]]).hexdigest()
    account.scripts[name] = {**old, "id": name, "etag": digest, "tags": metadata["tags"]}
    return show_script(account.scripts[name])


def read_parts(request: FakeRequest) -> tuple[Json, dict[str, bytes]]:
    """Return the metadata and the modules of a multipart upload."""
    head = f"Content-Type: {request.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + request.content, policy=email.policy.HTTP)
    metadata: Json | None = None
    modules: dict[str, bytes] = {}
    for part in message.iter_parts():
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
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
def delete_script(store: Store, request: FakeRequest) -> object:
    """Delete a Worker that no route needs; there is no answer but the status."""
    account, name = get_account(store, request), request.parts["script"]
    if name not in account.scripts:
        raise RefusalError(404, 10007, "workers.api.error.script_not_found")
    for zone in store.zones.values():
        if any(route["script"] == name for route in zone.routes.values()):
            raise StrangeError(f"{name} is deleted although a route leads to it")
    store.touched.add(name)
    del account.scripts[name]
    return NOTHING


@endpoint(
    "GET", "/accounts/{account}/workers/subdomain", "Workers Scripts Read", "Workers Scripts Write"
)
def read_name(store: Store, request: FakeRequest) -> Json:
    """Return the account's name at workers.dev."""
    if not get_account(store, request).subdomain:
        raise RefusalError(404, 10007, "workers.api.error.subdomain_not_found")
    return {"subdomain": "example"}


@endpoint("PUT", "/accounts/{account}/workers/subdomain", "Workers Scripts Write")
def register_name(store: Store, request: FakeRequest) -> Json:
    """Give the account a name at workers.dev."""
    account, body = get_account(store, request), expect(request.body, "subdomain")
    if account.subdomain:
        raise RefusalError(409, 10036, "the account has a subdomain already")
    account.subdomain = True
    return body


@endpoint(
    "GET", "/accounts/{account}/workers/scripts/{script}/subdomain",
    "Workers Scripts Read", "Workers Scripts Write",
)  # fmt: skip
def read_subdomain(store: Store, request: FakeRequest) -> Json:
    """Return whether workers.dev shows a Worker."""
    account = get_account(store, request)
    script = account.scripts.get(request.parts["script"])
    if not script or not account.subdomain:
        raise RefusalError(404, 10007, "workers.api.error.script_not_found")
    return {"enabled": script["enabled"], "previews_enabled": script["previews"]}


@endpoint("POST", "/accounts/{account}/workers/scripts/{script}/subdomain", "Workers Scripts Write")
def edit_subdomain(store: Store, request: FakeRequest) -> Json:
    """Show a Worker at workers.dev, or hide it."""
    read_subdomain(store, request)
    body = expect(request.body, "enabled previews_enabled")
    script = get_account(store, request).scripts[request.parts["script"]]
    script |= {"enabled": body["enabled"], "previews": body["previews_enabled"]}
    return read_subdomain(store, request)


def show_script(script: Json) -> Json:
    """Return a Worker as the API lists it."""
    return {key: script[key] for key in ("id", "etag", "tags")}


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
    zone, identity = touch_route(store, request)
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
    zone, identity = touch_route(store, request)
    del zone.routes[identity]
    return {"id": identity}


def touch_route(store: Store, request: FakeRequest) -> tuple[FakeZone, str]:
    """Return the zone and the id of a request's route, and note that it is changed."""
    zone, identity = get_zone(store, request), request.parts["route"]
    if identity not in zone.routes:
        raise RefusalError(404, 10009, "Route not found.")
    store.touched.add(identity)
    return zone, identity
