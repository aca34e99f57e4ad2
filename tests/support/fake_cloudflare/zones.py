"""The endpoints of zones and of their settings.

Shapes: Cloudflare's API reference.
"""

from __future__ import annotations

from tests.support.fake_cloudflare.endpoints import (
    FakeRequest,
    Page,
    StrangeError,
    endpoint,
    expect,
    get_zone,
    paginate,
)
from tests.support.fake_cloudflare.store import Json, Store


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
            "name_servers": list(zone.name_servers),
        }
        for zone in store.zones.values()
        if zone.id in visible and wanted in {None, zone.name}
    ]
    return paginate(found, request.query, most=50)


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
