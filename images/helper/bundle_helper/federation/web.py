"""HTTPS to a public name, as a homeserver or a client uses it, with bounded redirects."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urljoin, urlsplit

from ..exchange import Answer, Request, converse
from .faults import Fault, FaultError, explain_error
from .lookup import find_addresses
from .names import parse_server_name, shown
from .network import Place
from .tls import secure

if TYPE_CHECKING:
    from .names import ServerName
    from .network import Network

LONGEST_BODY: Final = 64 * 1024
_HTTPS_PORT: Final = 443
# Not a browser's, because it is bots that Cloudflare stops.
_USER_AGENT: Final = "synapse-bundle-check"
_REDIRECTS: Final = {301, 302, 303, 307, 308}
_MOST_REDIRECTS: Final = 5
_DEEPEST: Final = 64


def get(network: Network, url: str) -> Answer:
    """Return the answer to an https URL, redirects followed; FaultError if it is not usable.

    No answer's body is longer than LONGEST_BODY.
    """
    asked: list[str] = []
    location = ""
    while True:
        url, host, target = _follow(url, location)
        answer = _ask(network, host, target)
        if answer.status not in _REDIRECTS:
            return answer
        asked.append(url)
        location = answer.headers.get("Location", "")
        if url in asked[:-1] or len(asked) > _MOST_REDIRECTS:
            manner = "in a circle" if url in asked[:-1] else f"more than {_MOST_REDIRECTS} times"
            raise FaultError(
                Fault(
                    detail=f"{asked[0]} redirects {manner}",
                    cause="the web site sends this path from one address to the next",
                    next_step="serve the document at the first address itself",
                )
            )


def _follow(url: str, location: str) -> tuple[str, ServerName, str]:
    """Return where a redirect leads: URL, host and request target; FaultError if it is not https."""
    try:
        url = urljoin(url, location)
        parts = urlsplit(url)
        if parts.scheme != "https":
            raise ValueError(f"{parts.scheme} is not https")  # noqa: TRY301
        host = parse_server_name(parts.netloc)
    except ValueError as error:
        raise FaultError(
            Fault(
                detail=f"a redirect leads to {shown(location or url)!r}",
                cause="only https:// and a host are followed",
                next_step="fix the redirect, or serve the document itself",
            )
        ) from error
    query = f"?{parts.query}" if parts.query else ""
    return url, host, quote(f"{parts.path or '/'}{query}", safe="/?:@!$&'()*+,;=%~-._")


def _ask(network: Network, host: ServerName, target: str) -> Answer:
    addresses = (host.host,) if host.is_address else find_addresses(host.host, network.resolver)
    faults = []
    for address in addresses:
        place = Place(address, host.port or _HTTPS_PORT)
        try:
            with secure(network, place, host.host).connected as connected:
                answer = send(connected, host, target)
        except (OSError, http.client.HTTPException) as error:
            faults.append(explain_error(error, f"{host} at {place}"))
            continue
        if len(answer.body) > LONGEST_BODY:
            raise FaultError(_fault_of_size(f"https://{host}{target}"))
        return answer
    raise FaultError(min(faults, key=lambda fault: fault.no_way))


def send(connected: Any, host: ServerName, target: str) -> Answer:
    """Ask for a target over an open connection; one byte beyond LONGEST_BODY shows the excess."""
    request = Request(target=target, headers={"User-Agent": _USER_AGENT})
    return converse(connected, str(host), request, LONGEST_BODY + 1)


def _fault_of_size(what: str) -> Fault:
    return Fault(
        detail=f"{what} is larger than {LONGEST_BODY // 1024} KiB",
        cause="something else is served in its place; homeservers do not read that much",
        next_step="serve the small JSON document alone",
    )


def read_object(answer: Answer) -> dict[str, Any] | None:
    """Return the JSON object in an answer, whatever its Content-Type says; None if it is not one."""
    try:
        content = json.loads(answer.body, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and _depth(content) <= _DEEPEST else None


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _depth(content: object) -> int:
    level, depth = [content], 0
    while level:
        depth += 1
        level = [inner for value in level for inner in _inner(value)]
    return depth


def _inner(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
