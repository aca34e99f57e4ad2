"""The endpoints of tunnels.

Shapes: Cloudflare's API reference; error codes: 1013 and 1022 as in linuxserver/docker-mods#280 and
tuanngocptn/nport#16.
"""

from __future__ import annotations

import base64
import json

from tests.support.fake_cloudflare.endpoints import (
    FakeRequest,
    Page,
    RefusalError,
    StrangeError,
    endpoint,
    expect,
    get_account,
    hide,
    paginate,
    refuse_emptiness,
)
from tests.support.fake_cloudflare.store import Json, Store

TUNNEL_READ = ("Cloudflare Tunnel Read", "Cloudflare Tunnel Write")


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
