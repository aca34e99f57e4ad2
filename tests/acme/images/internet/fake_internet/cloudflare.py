"""The fake of Cloudflare's API at a socket, which fails by the rules of a test."""

from __future__ import annotations

import time

from aiohttp import web

from fake_internet.state import FaultRule, InternetState
from tests.support.fake_cloudflare.api import FakeAnswer, fail, refuse
from tests.support.fake_cloudflare.endpoints import RefusalError


class Cloudflare:
    """The API over the shared state."""

    def __init__(self, state: InternetState) -> None:
        self._state = state

    def build(self) -> web.Application:
        """Return the application."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass)
        return app

    async def _pass(self, request: web.Request) -> web.Response:
        answer = await self._answer(request)
        self._state.requests.append(
            {
                "to": "cloudflare",
                "method": request.method,
                "path": request.path_qs,
                "status": answer.status,
                "time": time.time(),
            }
        )
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async def _answer(self, request: web.Request) -> FakeAnswer:
        rule = self._state.find_fault("cloudflare", request.method, request.path)
        if rule:
            return suffer(rule)
        headers = {name.lower(): value for name, value in request.headers.items()}
        body, query = await request.read(), dict(request.query)
        answer = self._state.api.answer(request.method, request.path, query, headers, body)
        self._state.date_records()
        return answer


def suffer(rule: FaultRule) -> FakeAnswer:
    """Return a rule's answer: an envelope where it has a code, else the edge's page of HTML."""
    if not rule.code:
        return fail(rule.status, rule.retry_after)
    return refuse(RefusalError(rule.status, rule.code, rule.message), rule.retry_after)
