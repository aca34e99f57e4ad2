"""The tests' own API: what happened, and what is to fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from fake_internet.state import InternetState, UnknownSwitchError

PORT: Final = 8081
Apply = Callable[[], Awaitable[None]]


def build(state: InternetState, apply: Apply) -> web.Application:
    """Return the application: GET /state, PUT /switches, POST /reset."""

    async def show(_request: web.Request) -> web.Response:
        return web.json_response(state.describe())

    async def turn(request: web.Request) -> web.Response:
        try:
            state.turn(await request.json())
        except (UnknownSwitchError, TypeError) as error:
            raise web.HTTPBadRequest(text=f"no such switch: {error}") from None
        await apply()
        return web.json_response(state.switches)

    async def reset(_request: web.Request) -> web.Response:
        state.reset()
        await apply()
        return web.json_response({})

    app = web.Application()
    app.router.add_get("/state", show)
    app.router.add_put("/switches", turn)
    app.router.add_post("/reset", reset)
    return app
