"""Cloudflare's API over a store: as strict as the real one, and as unreliable as a test wants.

What a client should not send is refused and remembered as a violation. A fault strikes at the
request of a given number: before it takes effect, or after, so that only the answer is lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.support.fake_cloudflare import (  # noqa: F401  # they register
    records,
    rules,
    tokens,
    tunnels,
    workers,
    zones,
)
from tests.support.fake_cloudflare.endpoints import (
    ENDPOINTS,
    NOTHING,
    FakeEndpoint,
    FakeRequest,
    Page,
    RefusalError,
    StrangeError,
)
from tests.support.fake_cloudflare.store import Grant, Json, Store

Check = Callable[[FakeRequest], None]
BASE: Final = "/client/v4"
LEGACY: Final = ("x-auth-email", "x-auth-key", "x-auth-user-service-key")
TOKEN: Final = re.compile(r"Bearer ([A-Za-z0-9_-]{40,80})")


class Killed(BaseException):
    """The process ends here: no handler of the program's own sees it."""


class LostError(Exception):
    """The connection ends without an answer, or before there is one."""

    def __init__(self, *, reached: bool) -> None:
        super().__init__("lost")
        self.reached = reached


@dataclass(frozen=True, kw_only=True)
class FakeAnswer:
    """An answer on the wire."""

    status: int
    body: bytes = b""
    kind: str = ""
    retry_after: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What says how to read the body, and when to come again."""
        found = {"Content-Type": self.kind} if self.kind else {}
        return found | ({} if self.retry_after is None else {"Retry-After": str(self.retry_after)})


@dataclass(kw_only=True)
class FakeApi:
    """The API. `faults` by the number of the request; `log` has every request that came.

    `broken` are the ends of paths that are refused. `checks`, where there are any, has the names
    of the only endpoints that the client needs, and what else it must hold to there.
    """

    store: Store = field(default_factory=Store)
    faults: dict[int, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    broken: tuple[str, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)

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
            return fail(int(fault[:3]), 7 if fault == "429" else None)
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
            return FakeAnswer(status=204)
        document = {"success": True, "errors": [], "messages": [], "result": result}
        if isinstance(result, Page):
            document |= {"result": result.items, "result_info": result.info}
        return write_json(200, document)

    def _dispatch(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> Any:
        grant = self._authenticate(path, headers)
        each, parts = self._route(method, path)
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
        request = FakeRequest(
            grant=grant,
            parts=parts,
            query=query,
            body=read_json(body, content_type),
            content=body,
            content_type=content_type,
        )
        if each.name in self.checks:
            self.checks[each.name](request)
        return each.handle(self.store, request)

    def _route(self, method: str, path: str) -> tuple[FakeEndpoint, dict[str, str]]:
        for each in ENDPOINTS:
            offered = not self.checks or each.name in self.checks
            match = each.path.fullmatch(path)
            if offered and match and each.name.startswith(f"{method} "):
                return each, match.groupdict()
        raise StrangeError("No route for that URI", 400, 7000)

    def _authenticate(self, path: str, headers: dict[str, str]) -> Grant:
        if any(name in headers for name in LEGACY):
            raise StrangeError("Unknown X-Auth-Key or X-Auth-Email", 400, 9103)
        match = TOKEN.fullmatch(headers.get("authorization", ""))
        if not match:
            chain = [{"code": 6111, "message": "Invalid format for Authorization header"}]
            raise RefusalError(400, 6003, "Invalid request headers", chain)
        grant = next((g for g in self.store.grants.values() if g.value == match[1]), None)
        if not grant and path.endswith("/tokens/verify"):
            raise RefusalError(401, 1000, "Invalid API Token")
        if not grant:
            raise RefusalError(403, 9109, "Invalid access token")
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


def read_json(body: bytes, content_type: str) -> Any:
    """Return a body of JSON; nothing where there is no body, or where it is an upload."""
    kind = content_type.partition(";")[0]
    if not body or kind == "multipart/form-data":
        return None
    if kind != "application/json":
        raise StrangeError(f"a body of type {kind}", 400, 6003)
    try:
        return json.loads(body)
    except ValueError:
        raise StrangeError("Request body is invalid.", 400, 9207) from None


def refuse(refusal: RefusalError, retry_after: int | None = None) -> FakeAnswer:
    """Return an error in the API's envelope."""
    error: Json = {"code": refusal.code, "message": str(refusal)}
    error |= {"error_chain": refusal.chain} if refusal.chain else {}
    document = {"success": False, "errors": [error], "messages": [], "result": None}
    return write_json(refusal.status, document, retry_after)


def write_json(status: int, document: Json, retry_after: int | None = None) -> FakeAnswer:
    """Return an answer of JSON."""
    body = json.dumps(document).encode()
    return FakeAnswer(status=status, body=body, kind="application/json", retry_after=retry_after)


def fail(status: int, retry_after: int | None = None) -> FakeAnswer:
    """Return an error of the edge: a page of HTML."""
    page = f"<html><title>{status}</title>cloudflare</html>"
    return FakeAnswer(status=status, body=page.encode(), kind="text/html", retry_after=retry_after)
