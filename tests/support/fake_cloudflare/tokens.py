"""The endpoints of API tokens, of users and of accounts.

Shapes: Cloudflare's API reference and "Create tokens via API".
"""

from __future__ import annotations

from tests.support.fake_cloudflare.endpoints import (
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
from tests.support.fake_cloudflare.store import Grant, Json, Store

SCOPE = "com.cloudflare.api.account.zone"
# The first two are there to be mistaken for the third.
GROUPS = {
    "a" * 32: ("DNS Write", "com.cloudflare.api.account"),
    "b" * 32: ("DNS Writers", SCOPE),
    "4755a26eedb94da69e1066d98aa820be": ("DNS Write", SCOPE),
    "82e64a83756745bbbb1c9c2701bf816b": ("DNS Read", SCOPE),
}


def get_owner(request: FakeRequest) -> str:
    """Return whose tokens a request is about."""
    return request.parts.get("account", "user")


def is_of(grant: Grant, request: FakeRequest) -> bool:
    """Return whether a token belongs where a request looks for tokens."""
    return (grant.owner, grant.user) == (get_owner(request), request.grant.user)


def verify_token(_: Store, request: FakeRequest) -> Json:
    """Return how the token itself is."""
    if request.grant.owner != get_owner(request):
        raise RefusalError(401, 1000, "Invalid API Token")
    return {"id": request.grant.id, "status": request.grant.status}


def list_tokens(store: Store, request: FakeRequest) -> Page:
    """List tokens; this list does not say how many pages it has."""
    found = [
        {"id": grant.id, "name": grant.name, "status": grant.status}
        for grant in store.grants.values()
        if is_of(grant, request)
    ]
    return paginate(found, request.query, most=50, counted=False)


def list_groups(_: Store, request: FakeRequest) -> list[Json]:
    """List permissions, on one page; a name in the query is not decoded."""
    wanted = request.query.get("name", "")
    return [
        {"id": identity, "name": name, "scopes": [scope]}
        for identity, (name, scope) in GROUPS.items()
        if name.replace(" ", "+").startswith(wanted)
    ]


def create_token(store: Store, request: FakeRequest) -> Json:
    """Create a token; its value is shown this once."""
    refuse_emptiness(request)
    body = expect(request.body, "name policies")
    if sum(is_of(grant, request) for grant in store.grants.values()) >= store.quota:
        raise RefusalError(400, 1017, "You have reached the maximum number of tokens")
    if not 0 < len(body["name"]) <= 120:
        raise StrangeError("name must have a length between 1 and 120")
    allowed = set()
    for policy in body["policies"]:
        expect(policy, "effect resources permission_groups")
        for resource, verbs in policy["resources"].items():
            zone = resource.removeprefix(f"{SCOPE}.")
            if zone not in store.zones or verbs != "*":
                raise StrangeError(f"no resource: {resource}")
            for each in policy["permission_groups"]:
                name, scope = GROUPS[each["id"]]
                if scope != SCOPE:
                    raise StrangeError(f"{name} of {scope} for a zone")
                allowed.add((name, zone))
    grant = Grant(
        value=make_value(store),
        id=store.make_id(),
        name=body["name"],
        owner=get_owner(request),
        user=request.grant.user,
        allowed=allowed,
    )
    store.grants[grant.id] = grant
    return {"id": grant.id, "name": grant.name, "status": "active", "value": grant.value}


def roll_token(store: Store, request: FakeRequest) -> str:
    """Give a token a new value."""
    expect(request.body, "")
    grant = find_grant(store, request)
    store.touched.add(grant.id)
    grant.value = make_value(store)
    return grant.value


def delete_token(store: Store, request: FakeRequest) -> Json:
    """Revoke a token."""
    grant = find_grant(store, request)
    store.touched.add(grant.id)
    del store.grants[grant.id]
    return {"id": grant.id}


def find_grant(store: Store, request: FakeRequest) -> Grant:
    """Return the token of a request."""
    grant = store.grants.get(request.parts["token"])
    if not grant or not is_of(grant, request):
        raise hide(store, RefusalError(404, 1003, "Token not found"))
    return grant


def make_value(store: Store) -> str:
    """Return a token's value."""
    return f"helper_{store.make_id()}_{store.make_id()}"[:53]


for _owner, _name in (("/user", "API Tokens"), ("/accounts/{account}", "Account API Tokens")):
    _read = (f"{_name} Read", f"{_name} Write")
    endpoint("GET", f"{_owner}/tokens/verify")(verify_token)
    endpoint("GET", f"{_owner}/tokens/permission_groups", *_read, query="name scope")(list_groups)
    endpoint("GET", f"{_owner}/tokens", *_read, query="page per_page")(list_tokens)
    endpoint("POST", f"{_owner}/tokens", _read[1])(create_token)
    endpoint("PUT", f"{_owner}/tokens/{{token}}/value", _read[1])(roll_token)
    endpoint("DELETE", f"{_owner}/tokens/{{token}}", _read[1])(delete_token)
