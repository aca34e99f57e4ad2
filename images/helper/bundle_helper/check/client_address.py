"""Client addresses that a client forges in headers must not be believed."""

from __future__ import annotations

import secrets
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ..exchange import Request
from ..findings import Finding, failed, passed
from .front_door import RENEW_APACHE, apache
from .sign_in import DEVICE, SignInError, ask_signed_in

if TYPE_CHECKING:
    from ..exchange import Answer
    from ..settings.service_settings import ServiceSettings

_PATIENCE_SECONDS: Final = 12.0
_PAUSE_SECONDS: Final = 0.5


def probe_address(settings: ServiceSettings) -> Finding:
    """Ask with forged headers, and read which address Synapse noted for that very request."""
    forged = _forged_headers(secrets.randbelow(254) + 1)
    try:
        own, seen = _ask_until_noted(settings, forged)
    except SignInError as error:
        return failed(
            error.message,
            cause="the checks' account is needed for this proof",
            next_step="`docker compose logs helper synapse`, then check again",
        )
    if seen == own:
        return passed(f"Synapse saw {own}, the real one")
    believed = [name for name, value in forged.items() if seen and seen in value]
    return failed(
        f"Synapse saw {seen} instead of {own}",
        cause=f"Apache passes on {', '.join(believed)}"
        if believed
        else "Apache does not pass on the address of the client (or did not two minutes ago)",
        next_step=RENEW_APACHE,
    )


def _forged_headers(number: int) -> dict[str, str]:
    """Return one forged address per header, of the blocks kept for documentation (RFC 5737).

    The number changes with each run: Synapse notes a known address once in two minutes only.
    """
    return {
        "X-Forwarded-For": f"203.0.113.{number}",
        "Forwarded": f"for=198.51.100.{number}",
        "CF-Connecting-IP": f"192.0.2.{number}",
    }


def _ask_until_noted(settings: ServiceSettings, forged: dict[str, str]) -> tuple[str, str]:
    # Every request carries the forged headers: an honest one would overwrite their trace.
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        request = Request(target="/_matrix/client/v3/devices", headers=forged)
        answer = ask_signed_in(settings, apache(settings), request)
        seen = _address_noted(answer)
        if seen == answer.own_address or any(seen and seen in value for value in forged.values()):
            return answer.own_address, seen
        if time.monotonic() > deadline:
            return answer.own_address, seen or f"no address ({answer.status} {answer.errcode})"
        time.sleep(_PAUSE_SECONDS)


def _address_noted(answer: Answer) -> str:
    devices = answer.json().get("devices", []) if answer.status == HTTPStatus.OK else []
    for device in devices:
        if device.get("device_id") == DEVICE:
            return str(device.get("last_seen_ip") or "")
    return ""
