"""The few endpoints of Cloudflare's API that a DNS-01 client needs, and no other.

What a client should not send is refused and recorded as a violation. Source: the API reference
of /zones and /zones/{id}/dns_records, and what certbot-dns-cloudflare 5.8 sends.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from fake_internet.state import FaultRule, InternetState, Record

BASE: Final = "/client/v4"
_ID: Final = re.compile(r"[0-9a-f]{32}")
_TOKEN: Final = re.compile(r"Bearer [A-Za-z0-9_-]{40}")
_LEGACY: Final = ("X-Auth-Email", "X-Auth-Key")
_KINDS: Final = frozenset({"TXT"})
_FILTERS: Final = frozenset({"type", "name.exact", "content.exact", "page", "per_page"})
_FIELDS: Final = frozenset({"type", "name", "content", "ttl"})
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CloudflareError(Exception):
    """An answer with Cloudflare's error envelope."""

    def __init__(self, status: int, code: int, message: str, **chained: Any) -> None:
        super().__init__(message)
        self.status = status
        self.errors = [{"code": code, "message": message, **chained}]


class StrangeRequestError(CloudflareError):
    """A request that no client of ours should make."""


class Cloudflare:
    """The API over the shared state."""

    def __init__(self, state: InternetState) -> None:
        self._state = state

    def build(self) -> web.Application:
        """Return the application."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get(f"{BASE}/zones", self._list_zones)
        app.router.add_post(f"{BASE}/zones/{{zone}}/dns_records", self._create)
        app.router.add_get(f"{BASE}/zones/{{zone}}/dns_records", self._list_records)
        app.router.add_delete(f"{BASE}/zones/{{zone}}/dns_records/{{record}}", self._delete)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await self._answer(request, handler)
        self._state.requests.append(
            {
                "to": "cloudflare",
                "method": request.method,
                "path": request.path_qs,
                "status": answer.status,
                "time": time.time(),
            }
        )
        return answer

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        rule = self._state.find_fault("cloudflare", request.method, request.path)
        if rule:
            return fail(rule)
        try:
            self._authenticate(request)
            return await handler(request)
        except CloudflareError as error:
            if isinstance(error, StrangeRequestError):
                self._state.violations.append(f"{request.method} {request.path_qs}: {error}")
            return wrap(None, error.status, error.errors)
        except web.HTTPException:
            line = f"{request.method} {request.path_qs}: no such endpoint"
            self._state.violations.append(line)
            return wrap(None, 400, [{"code": 7000, "message": "No route for that URI"}])

    def _authenticate(self, request: web.Request) -> list[str]:
        if any(name in request.headers for name in _LEGACY):
            raise StrangeRequestError(400, 9103, "Unknown X-Auth-Key or X-Auth-Email")
        sent = request.headers.get("Authorization", "")
        if not _TOKEN.fullmatch(sent):
            chain = [{"code": 6111, "message": "Invalid format for Authorization header"}]
            raise CloudflareError(400, 6003, "Invalid request headers", error_chain=chain)
        zones: list[str] | None = self._state.switches["tokens"].get(sent.removeprefix("Bearer "))
        if zones is None:
            raise CloudflareError(403, 9109, "Invalid access token")
        return zones

    def _find_zone(self, request: web.Request) -> str:
        """Return the zone's name; the token must be good for it."""
        allowed = self._authenticate(request)
        identity = request.match_info["zone"]
        if not _ID.fullmatch(identity):
            raise StrangeRequestError(404, 7003, f"Could not route to /zones/{identity}")
        for name, known in self._state.identities.items():
            if known == identity and name in allowed:
                return name
        raise CloudflareError(403, 10000, "Authentication error")

    async def _list_zones(self, request: web.Request) -> web.Response:
        allowed = self._authenticate(request)
        expect_parameters(request, frozenset({"name", "per_page", "page"}), {"name"})
        wanted = request.query["name"]
        page = int(request.query.get("page", "1"))
        found = [zone for zone in allowed if zone == wanted and page == 1]
        return wrap([self._describe_zone(zone) for zone in found], page=page)

    def _describe_zone(self, zone: str) -> dict[str, Any]:
        return {
            "id": self._state.identities[zone],
            "name": zone,
            "status": "active",
            "paused": False,
            "type": "full",
            "name_servers": self._state.switches["nameservers"],
            "account": {"id": "a" * 32, "name": "An account"},
        }

    async def _list_records(self, request: web.Request) -> web.Response:
        zone = self._find_zone(request)
        expect_parameters(request, _FILTERS, set())
        query, page = request.query, int(request.query.get("page", "1"))
        found = [
            record.describe()
            for record in self._state.records
            if record.zone == zone
            and query.get("type", record.kind) == record.kind
            and query.get("name.exact", record.name).lower() == record.name
            and strip_quotes(query.get("content.exact", record.content)) == record.content
        ]
        size = int(query.get("per_page", "100"))
        return wrap(found[(page - 1) * size : page * size], page=page)

    async def _create(self, request: web.Request) -> web.Response:
        zone = self._find_zone(request)
        expect_parameters(request, frozenset(), set())
        record = self._read_record(zone, await read_document(request))
        same = [known for known in self._state.records if known.name == record.name]
        if any(known.content == record.content for known in same):
            raise CloudflareError(400, 81058, "An identical record already exists.")
        self._state.records.append(record)
        return wrap(record.describe())

    def _read_record(self, zone: str, fields: dict[str, Any]) -> Record:
        strange = sorted(set(fields) ^ _FIELDS)
        if strange or fields["type"] not in _KINDS:
            raise StrangeRequestError(400, 9005, f"not a TXT record as expected: {strange}")
        name = str(fields["name"]).lower().rstrip(".")
        if not name.endswith(f".{zone}"):
            raise StrangeRequestError(400, 1004, f"DNS Validation Error: {name} not in {zone}")
        ttl = fields["ttl"]
        if not isinstance(ttl, int) or (ttl != 1 and ttl not in range(60, 86401)):
            raise StrangeRequestError(400, 9021, f"Invalid TTL {ttl}")
        return Record(
            identity=secrets.token_hex(16),
            zone=zone,
            kind=fields["type"],
            name=name,
            content=strip_quotes(str(fields["content"])),
            ttl=ttl,
            created=time.monotonic(),
        )

    async def _delete(self, request: web.Request) -> web.Response:
        zone = self._find_zone(request)
        expect_parameters(request, frozenset(), set())
        identity = request.match_info["record"]
        kept = [r for r in self._state.records if (r.zone, r.identity) != (zone, identity)]
        if len(kept) == len(self._state.records):
            raise CloudflareError(404, 81044, "Record does not exist.")
        self._state.records[:] = kept
        return wrap({"id": identity})


def expect_parameters(request: web.Request, known: frozenset[str], needed: set[str]) -> None:
    """Refuse parameters that no client should send, and the lack of one that every client must."""
    strange = sorted((set(request.query) - known) | (needed - set(request.query)))
    if strange:
        raise StrangeRequestError(400, 1000, f"unexpected or missing parameters: {strange}")


async def read_document(request: web.Request) -> dict[str, Any]:
    """Return the body, which must be a JSON object."""
    if request.content_type != "application/json":
        raise StrangeRequestError(400, 6003, f"a body of type {request.content_type}")
    try:
        document = await request.json()
    except json.JSONDecodeError:
        raise StrangeRequestError(400, 9207, "Request body is invalid.") from None
    if not isinstance(document, dict):
        raise StrangeRequestError(400, 9207, "Request body is invalid.")
    return document


def strip_quotes(text: str) -> str:
    """Return a TXT value without the quotes, which are presentation alone."""
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def wrap(
    result: Any, status: int = 200, errors: list[dict[str, Any]] | None = None, page: int = 0
) -> web.Response:
    """Return an answer in Cloudflare's envelope; a list says which page it is."""
    document = {"success": not errors, "errors": errors or [], "messages": [], "result": result}
    if page:
        document["result_info"] = {"page": page, "per_page": 100, "count": len(result)}
    return web.json_response(document, status=status)


def fail(rule: FaultRule) -> web.Response:
    """Return a rule's answer: an envelope where it has a code, else the edge's page of HTML."""
    headers = {"Retry-After": str(rule.retry_after)} if rule.retry_after is not None else {}
    if not rule.code:
        page = f"<html><title>{rule.status}</title>cloudflare</html>"
        return web.Response(
            status=rule.status, text=page, content_type="text/html", headers=headers
        )
    errors = [{"code": rule.code, "message": rule.message}]
    answer = wrap(None, rule.status, errors)
    answer.headers.update(headers)
    return answer
