"""What an endpoint of the API is: who may use it, what it is given, and how it refuses."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from tests.support.fake_cloudflare.store import FakeAccount, FakeZone, Grant, Json, Store


class RefusalError(Exception):
    """An answer with an error in it."""

    def __init__(
        self, status: int, code: int, message: str, chain: list[Json] | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.chain = chain


class StrangeError(RefusalError):
    """A request that no client of ours should make."""

    def __init__(self, message: str, status: int = 400, code: int = 1000) -> None:
        super().__init__(status, code, message)


@dataclass(frozen=True, kw_only=True)
class FakeRequest:
    """A request as an endpoint sees it."""

    grant: Grant
    parts: dict[str, str]
    query: dict[str, str]
    body: Any
    content: bytes
    content_type: str


@dataclass(frozen=True, kw_only=True)
class FakeEndpoint:
    """One method and path, its `name`: who may use it, which parameters it knows, what it does."""

    name: str
    path: re.Pattern[str]
    permissions: tuple[str, ...]
    query: frozenset[str]
    handle: Callable[[Store, FakeRequest], Any]


Handler = TypeVar("Handler", bound=Callable[[Store, FakeRequest], Any])
ENDPOINTS: Final[list[FakeEndpoint]] = []
# What an endpoint returns that answers without a body.
NOTHING: Final = object()


def endpoint(
    method: str, path: str, *permissions: str, query: str = ""
) -> Callable[[Handler], Handler]:
    """Register what answers a method and path; one of the permissions is needed, if any."""
    pattern = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))

    def register(handle: Handler) -> Handler:
        ENDPOINTS.append(
            FakeEndpoint(
                name=f"{method} {path}",
                path=pattern,
                permissions=permissions,
                query=frozenset(query.split()),
                handle=handle,
            )
        )
        return handle

    return register


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a list."""

    items: list[Any]
    info: Json


def paginate(
    items: list[Any], query: dict[str, str], *, most: int, usual: int = 20, counted: bool = True
) -> Page:
    """Return the page that was asked for; the page behind the last one is empty."""
    page, size = int(query.get("page", "1")), int(query.get("per_page", usual))
    if not (1 <= size <= most and page >= 1):
        raise StrangeError(f"page {page} of {size} at a time, at most {most}")
    part = items[(page - 1) * size : page * size]
    info: Json = {"page": page, "per_page": size, "count": len(part), "total_count": len(items)}
    if counted:
        info["total_pages"] = -(-len(items) // size)
    return Page(items=part, info=info)


def expect(body: Any, required: str, optional: str = "") -> Json:
    """Return a JSON body that has the required fields and no unknown one."""
    if not isinstance(body, dict):
        raise StrangeError("the body is not a JSON object", 400, 9207)
    needed = set(required.split())
    strange = (set(body) - needed - set(optional.split())) | (needed - set(body))
    if strange:
        raise StrangeError(f"unexpected or missing fields: {sorted(strange)}")
    return body


def refuse_emptiness(request: FakeRequest) -> None:
    """Refuse a body without anything in it, as one may send to see whether one might."""
    if request.body == {}:
        raise RefusalError(400, 1001, "name is required")


def hide(store: Store, missing: RefusalError) -> RefusalError:
    """Return what is answered for what does not exist."""
    return RefusalError(403, 10000, "Authentication error") if store.shy else missing


def get_account(store: Store, request: FakeRequest) -> FakeAccount:
    """Return the account of a request."""
    return store.accounts[request.parts["account"]]


def get_zone(store: Store, request: FakeRequest) -> FakeZone:
    """Return the zone of a request."""
    return store.zones[request.parts["zone"]]
