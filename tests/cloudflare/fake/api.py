"""Cloudflare's API over a store: as strict as the real one, and as unreliable as a test wants.

What a client should not send is refused and remembered as a violation. A fault strikes at the
request of a given number: before it takes effect, or after, so that only the answer is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from tests.cloudflare.fake.store import Grant, Json, Store

BASE: Final = "/client/v4"
LEGACY: Final = ("x-auth-email", "x-auth-key", "x-auth-user-service-key")
TOKEN: Final = re.compile(r"Bearer ([A-Za-z0-9_-]{40,80})")


class RefusalError(Exception):
    """An answer with an error in it."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class StrangeError(RefusalError):
    """A request that no client of ours should make."""

    def __init__(self, message: str, status: int = 400, code: int = 1000) -> None:
        super().__init__(status, code, message)


class Killed(BaseException):
    """The process ends here: no handler of the program's own sees it."""


class LostError(Exception):
    """The connection ends without an answer, or before there is one."""

    def __init__(self, *, reached: bool) -> None:
        super().__init__("lost")
        self.reached = reached


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
class FakeAnswer:
    """An answer on the wire."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FakeEndpoint:
    """One method and path: who may use it, which parameters it knows, what it does."""

    method: str
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
                method=method,
                path=pattern,
                permissions=permissions,
                query=frozenset(query.split()),
                handle=handle,
            )
        )
        return handle

    return register


@dataclass(kw_only=True)
class FakeApi:
    """The API. `faults` by the number of the request; `log` has every request that came.

    `broken` are the ends of paths that are refused.
    """

    store: Store = field(default_factory=Store)
    faults: dict[int, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    broken: tuple[str, ...] = ()

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> FakeAnswer:
        """Answer one request, or suffer its fault."""
        fault = self.faults.get(len(self.log), "")
        self.log.append(f"{method} {path.removeprefix(BASE)}")
        if fault == "kill before":
            raise Killed
        if fault == "unreachable":
            raise LostError(reached=False)
        if fault in {"500 before", "429"}:
            return fail(int(fault[:3]))
        answer = self._serve(method, path, query, headers, body)
        if fault == "kill after":
            raise Killed
        if fault == "lost":
            raise LostError(reached=True)
        return fail(502) if fault == "500 after" else answer

    def _serve(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> FakeAnswer:
        try:
            result = self._dispatch(method, path.removeprefix(BASE), query, headers, body)
        except StrangeError as strange:
            self.violations.append(f"{method} {path} {query}: {strange}")
            return refuse(strange)
        except RefusalError as refusal:
            return refuse(refusal)
        if result is NOTHING:
            return FakeAnswer(status=204, body=b"")
        document = {"success": True, "errors": [], "messages": [], "result": result}
        if isinstance(result, Page):
            document |= {"result": result.items, "result_info": result.info}
        return FakeAnswer(status=200, body=json.dumps(document).encode())

    def _dispatch(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Any:
        grant = self._authenticate(headers)
        for each in ENDPOINTS:
            match = each.path.fullmatch(path)
            if match and each.method == method:
                break
        else:
            raise StrangeError("No route for that URI", 400, 7000)
        parts = match.groupdict()
        if self.store.hasty and method == "POST" and body == b"{}":
            raise RefusalError(400, 1001, "name is required")
        self._authorize(grant, each, parts, path)
        if f"{method} {path}".endswith(self.broken or ("\0",)):
            raise RefusalError(400, 10001, "this cannot be done now")
        refusal = self._find_refusal(method, path)
        if refusal:
            raise RefusalError(*refusal)
        if set(query) - each.query:
            raise StrangeError(f"unexpected parameters: {sorted(set(query) - each.query)}")
        content_type = headers.get("content-type", "")
        is_json = content_type == "application/json"
        request = FakeRequest(
            grant=grant,
            parts=parts,
            query=query,
            body=json.loads(body) if body and is_json else None,
            content=body,
            content_type=content_type,
        )
        return each.handle(self.store, request)

    def _authenticate(self, headers: dict[str, str]) -> Grant:
        if any(name in headers for name in LEGACY):
            raise StrangeError("Unknown X-Auth-Key or X-Auth-Email", 400, 9103)
        match = TOKEN.fullmatch(headers.get("authorization", ""))
        if not match:
            raise RefusalError(400, 6003, "Invalid request headers")
        grant = next((g for g in self.store.grants.values() if g.value == match[1]), None)
        if not grant:
            raise RefusalError(401, 1000, "Invalid API Token")
        if grant.location:
            words = "Cannot use the access token from location: 192.0.2.1"
            raise RefusalError(403, 9109, words)
        return grant

    def _find_refusal(self, method: str, path: str) -> tuple[int, int, str] | None:
        for zone in self.store.zones.values():
            below = path.removeprefix(f"/zones/{zone.id}/")
            for rule, refusal in zone.refusals.items():
                verb, _, start = rule.partition(" ")
                if below != path and method == verb and below.startswith(start):
                    return refusal
        return None

    def _authorize(
        self, grant: Grant, each: FakeEndpoint, parts: dict[str, str], path: str
    ) -> None:
        if grant.status != "active" and not path.endswith("/tokens/verify"):
            raise RefusalError(401, 10000, "Authentication error")
        zone, account = parts.get("zone"), parts.get("account")
        if zone in self.store.deleted_zones:
            raise RefusalError(404, 7003, f"Could not route to /zones/{zone}")
        for name, known in (("zone", self.store.zones), ("account", self.store.accounts)):
            if name in parts and parts[name] not in known:
                raise StrangeError(f"Could not route to {parts[name]}", 404, 7003)
        resource = zone or account or "user"
        if each.permissions and not grant.may(each.permissions, resource):
            code = 9109 if resource == "user" else 10000
            raise RefusalError(403, code, "Authentication error")


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a list."""

    items: list[Any]
    info: Json


def paginate(items: list[Any], query: dict[str, str], *, most: int, counted: bool = True) -> Page:
    """Return the page that was asked for; the page behind the last one is empty."""
    page, size = int(query.get("page", "1")), int(query.get("per_page", "20"))
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


def refuse(refusal: RefusalError) -> FakeAnswer:
    """Return an error in the API's envelope."""
    errors = [{"code": refusal.code, "message": str(refusal)}]
    document = {"success": False, "errors": errors, "messages": [], "result": None}
    return FakeAnswer(status=refusal.status, body=json.dumps(document).encode())


def fail(status: int) -> FakeAnswer:
    """Return an error of the edge: a page of HTML, or a request for patience."""
    if status == 429:
        return FakeAnswer(status=429, body=b"{}", headers={"Retry-After": "7"})
    return FakeAnswer(status=status, body=b"<html>cloudflare</html>")
