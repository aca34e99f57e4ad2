"""A proxy before the ACME authorities: forwards and counts requests, and fails on demand."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

import aiohttp
from aiohttp import web

from fake_internet.state import FaultRule, InternetState

PORT: Final = 14000
# What belongs to one hop alone (RFC 9110, section 7.6.1), or is written again.
_HOP: Final = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "date"})
_WINDOWS: Final = {"past": -30, "future": 30}
# What real directories contain besides their addresses, and pebble's does not.
_META: Final = {"caaIdentities": ["pebble.test"], "profiles": {"classic": "as ever"}}


class AuthorityProxy:
    """One entrance to several authorities; the host name decides which."""

    def __init__(self, state: InternetState, authorities: dict[str, str]) -> None:
        """Know the address of each authority by its host name."""
        self._state = state
        self._authorities = authorities
        self._session: aiohttp.ClientSession | None = None

    def build(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.cleanup_ctx.append(self._open)
        app.router.add_route("*", "/{path:.*}", self._pass)
        return app

    async def _open(self, _app: web.Application) -> AsyncIterator[None]:
        # Both ends of this hop are made by the same test, on a network of their own.
        connector = aiohttp.TCPConnector(ssl=False)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False)
        yield
        await self._session.close()

    async def _pass(self, request: web.Request) -> web.Response:
        answer = await self._answer(request)
        self._state.requests.append(
            {
                "to": "acme",
                "method": request.method,
                "path": request.path,
                "status": answer.status,
                "time": time.time(),
            }
        )
        return answer

    async def _answer(self, request: web.Request) -> web.Response:
        rule = self._state.find_fault("acme", request.method, request.path)
        if rule:
            return fail(rule)
        window = self._state.switches["renewal"]
        if "renewalInfo" not in request.path:
            return await self._forward(request)
        answer = suggest(window) if window else await self._forward(request)
        # A client asks again after hours otherwise, and a test would have to wait for them.
        answer.headers["Retry-After"] = "1"
        return answer

    async def _forward(self, request: web.Request) -> web.Response:
        host = request.host.partition(":")[0]
        if host not in self._authorities or self._session is None:
            return web.Response(status=502, text=f"no authority is called {host}")
        url = f"https://{self._authorities[host]}:{PORT}{request.path_qs}"
        body = await request.read()
        async with self._session.request(
            request.method, url, headers=request.headers, data=body, allow_redirects=False
        ) as response:
            kept = [(n, v) for n, v in response.headers.items() if n.lower() not in _HOP]
            content = await response.read()
            if request.path == "/dir" and response.status == HTTPStatus.OK:
                content = complete(content)
            answer = web.Response(status=response.status, body=content)
            answer.headers.clear()
            answer.headers.extend(kept)
            return answer


def complete(directory: bytes) -> bytes:
    """Return a directory with the metadata that real ones have."""
    document = json.loads(directory)
    document["meta"] = document.get("meta", {}) | _META
    return json.dumps(document).encode()


def fail(rule: FaultRule) -> web.Response:
    """Return a problem document (RFC 8555, section 6.7), or a bare page where it has no kind."""
    headers = {"Retry-After": str(rule.retry_after)} if rule.retry_after is not None else {}
    if not rule.kind:
        return web.Response(status=rule.status, text="upstream failure", headers=headers)
    document = {
        "type": f"urn:ietf:params:acme:error:{rule.kind}",
        "detail": rule.message,
        "status": rule.status,
    }
    headers["Content-Type"] = "application/problem+json"
    return web.Response(status=rule.status, body=json.dumps(document), headers=headers)


def suggest(window: str) -> web.Response:
    """Return renewal information (RFC 9773, section 4.2)."""
    start = datetime.now(UTC) + timedelta(days=_WINDOWS[window])
    times = {"start": start.isoformat(), "end": (start + timedelta(days=1)).isoformat()}
    return web.json_response({"suggestedWindow": times})
