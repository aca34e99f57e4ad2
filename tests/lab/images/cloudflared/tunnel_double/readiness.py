"""The probe `cloudflared tunnel --metrics ADDRESS ready`, made for health checks.

Source: readyCommand in cmd/cloudflared/tunnel/subcommands.go of cloudflared 2026.8.2.
"""

from __future__ import annotations

import http.client
from http import HTTPStatus
from typing import Final

from tunnel_double import RefusalError

_PATIENCE: Final = 10.0
"""Seconds to wait for the answer; the original waits for ever."""


def check_readiness(address: str) -> None:
    """Return when the metrics server at the address reports ready; raise RefusalError otherwise."""
    connection = http.client.HTTPConnection(address, timeout=_PATIENCE)
    try:
        connection.request("GET", "/ready")
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        msg = f'Get "http://{address}/ready": {error}'
        raise RefusalError(msg) from None
    finally:
        connection.close()
    if response.status != HTTPStatus.OK:
        msg = f"http://{address}/ready endpoint returned status code {response.status}\n{body}"
        raise RefusalError(msg)
