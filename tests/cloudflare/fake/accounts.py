"""The endpoints of tunnels and Workers.

Shapes: Cloudflare's API reference and "Multipart upload metadata"; error codes: 1013 and 1022 as
in linuxserver/docker-mods#280 and tuanngocptn/nport#16, 10007 as in rocicorp/mono#931.
"""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import json
from datetime import UTC, date, datetime

from tests.cloudflare.fake.api import (
    NOTHING,
    FakeRequest,
    Page,
    RefusalError,
    StrangeError,
    endpoint,
    expect,
    hide,
    paginate,
    refuse_emptiness,
)
from tests.cloudflare.fake.store import FakeAccount, Json, Store

TUNNEL_READ = ("Cloudflare Tunnel Read", "Cloudflare Tunnel Write")


def get_account(store: Store, request: FakeRequest) -> FakeAccount:
    """Return the account of a request."""
    return store.accounts[request.parts["account"]]


@endpoint(
    "GET", "/accounts/{account}/cfd_tunnel", *TUNNEL_READ,
    query="is_deleted page per_page",
)  # fmt: skip
def list_tunnels(store: Store, request: FakeRequest) -> Page:
    """List tunnels, by whether they are deleted."""
    deleted = request.query.get("is_deleted")
    found = [
        describe(tunnel) | ({"connections": []} if store.quiet else {})
        for tunnel in get_account(store, request).tunnels.values()
        if deleted in {None, "true" if tunnel["deleted_at"] else "false"}
    ]
    return paginate(found, request.query, most=1000)


@endpoint("POST", "/accounts/{account}/cfd_tunnel", "Cloudflare Tunnel Write")
def create_tunnel(store: Store, request: FakeRequest) -> Json:
    """Create a tunnel with a secret of the client's."""
    refuse_emptiness(request)
    account, body = (
        get_account(store, request),
        expect(request.body, "name config_src tunnel_secret"),
    )
    if any(t["name"] == body["name"] and not t["deleted_at"] for t in account.tunnels.values()):
        raise RefusalError(409, 1013, "You already have a tunnel with this name.")
    if len(base64.b64decode(body["tunnel_secret"], validate=True)) < 32:
        raise StrangeError("the tunnel's secret is too short")
    tunnel = store.add_tunnel(account, body["name"])
    tunnel |= {"secret": body["tunnel_secret"], "config_src": body["config_src"]}
    return describe(tunnel)


@endpoint("GET", "/accounts/{account}/cfd_tunnel/{tunnel}", *TUNNEL_READ)
def read_tunnel(store: Store, request: FakeRequest) -> Json:
    """Return a tunnel, a deleted one too."""
    return describe(find_tunnel(store, request))


@endpoint("GET", "/accounts/{account}/cfd_tunnel/{tunnel}/token", "Cloudflare Tunnel Write")
def read_tunnel_token(store: Store, request: FakeRequest) -> str:
    """Return what cloudflared takes as --token."""
    tunnel = find_tunnel(store, request)
    short = {"a": request.parts["account"], "t": tunnel["id"], "s": tunnel["secret"]}
    return base64.b64encode(json.dumps(short).encode()).decode()


@endpoint(
    "DELETE", "/accounts/{account}/cfd_tunnel/{tunnel}/connections", "Cloudflare Tunnel Write"
)
def close_connections(store: Store, request: FakeRequest) -> None:
    """Forget a tunnel's connections; a connector that runs comes back at once."""
    tunnel = find_tunnel(store, request)
    if store.clinging:
        store.clinging -= 1
    else:
        tunnel["connections"] = []


@endpoint(
    "DELETE", "/accounts/{account}/cfd_tunnel/{tunnel}", "Cloudflare Tunnel Write", query="cascade"
)
def delete_tunnel(store: Store, request: FakeRequest) -> Json:
    """Delete a tunnel that is not in use."""
    tunnel = find_tunnel(store, request)
    if tunnel["deleted_at"]:
        raise RefusalError(404, 1003, "Tunnel not found")
    account = get_account(store, request)
    routes = [route for route in account.private if route["tunnel_id"] == tunnel["id"]]
    if (tunnel["connections"] or routes) and request.query.get("cascade") != "true":
        raise RefusalError(400, 1022, "Cannot delete tunnel because it has active connections")
    account.private = [route for route in account.private if route not in routes]
    store.touched.add(tunnel["id"])
    tunnel |= {"deleted_at": "2026-11-24T00:00:00Z", "connections": []}
    return describe(tunnel)


def find_tunnel(store: Store, request: FakeRequest) -> Json:
    """Return the tunnel of a request."""
    tunnel = get_account(store, request).tunnels.get(request.parts["tunnel"])
    if not tunnel:
        raise hide(store, RefusalError(404, 1003, "Tunnel not found"))
    return tunnel


def list_networks(store: Store, request: FakeRequest) -> list[Json]:
    """List the networks that a tunnel leads to."""
    return list_private(store, request, "network")


def list_hostnames(store: Store, request: FakeRequest) -> list[Json]:
    """List the private names that a tunnel leads to."""
    return list_private(store, request, "hostname")


for _path, _handle in (
    ("teamnet/routes", list_networks),
    ("zerotrust/routes/hostname", list_hostnames),
):
    endpoint("GET", f"/accounts/{{account}}/{_path}", *TUNNEL_READ, query="tunnel_id is_deleted")(
        _handle
    )


def list_private(store: Store, request: FakeRequest, key: str) -> list[Json]:
    """Return the private routes of a tunnel of one sort."""
    routes = get_account(store, request).private
    return [r for r in routes if key in r and r["tunnel_id"] == request.query["tunnel_id"]]


def describe(tunnel: Json) -> Json:
    """Return a tunnel as the API shows it: without its secret."""
    status = "healthy" if tunnel["connections"] else "inactive"
    return {key: value for key, value in tunnel.items() if key != "secret"} | {"status": status}


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
