"""The metrics server: readiness for the health check, and little else.

Source: metrics/metrics.go and metrics/readiness.go of cloudflared 2026.8.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web

from tunnel_double import VERSION, RefusalError

DEFAULT_ADDRESSES: Final = tuple(f"0.0.0.0:{port}" for port in range(20241, 20246))
"""What the image tries in turn where no address is given: open to the whole network."""

CONNECTIONS: Final = 4
"""Connections of one connector to the edge."""


@dataclass(kw_only=True)
class State:
    """How far the tunnel is; the one thing that changes while it runs."""

    connector: str
    connections: int = 0
    """Connections to the edge; none while starting and while draining."""


def parse_address(address: str) -> tuple[str, int]:
    """Return host and port to listen on; raise RefusalError when the text names none."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        msg = f"failed to bind to address ({address}): write host:port, such as 127.0.0.1:20241"
        raise RefusalError(msg)
    return host.strip("[]") or "0.0.0.0", int(port)  # every interface, like Go  # noqa: S104


def build_metrics(state: State) -> web.Application:
    """Return the application of the metrics server."""

    async def ready(_request: web.Request) -> web.Response:
        status = HTTPStatus.OK if state.connections else HTTPStatus.SERVICE_UNAVAILABLE
        body = {
            "status": status.value,
            "readyConnections": state.connections,
            "connectorId": state.connector,
        }
        return web.json_response(body, status=status)

    async def healthcheck(_request: web.Request) -> web.Response:
        return web.Response(text="OK\n")

    async def metrics(_request: web.Request) -> web.Response:
        lines = (
            f'build_info{{version="{VERSION}"}} 1',
            f"cloudflared_tunnel_ha_connections {state.connections}",
        )
        return web.Response(text="\n".join([*lines, ""]))

    application = web.Application()
    application.router.add_get("/ready", ready)
    application.router.add_get("/healthcheck", healthcheck)
    application.router.add_get("/metrics", metrics)
    return application
