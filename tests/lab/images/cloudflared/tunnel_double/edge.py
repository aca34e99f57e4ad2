"""What Cloudflare and cloudflared do to the headers of a request, and what they refuse.

Sources: Cloudflare's documentation (HTTP request headers, connection limits, default cache
behavior) and connection/header.go of cloudflared. Names of headers keep the visitor's spelling.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from multidict import CIMultiDict, MultiMapping

VISITOR_HEADER: Final = "X-Lab-Visitor"
"""The test's word for the visitor's address; the double consumes it."""

_HOP_BY_HOP: Final = (
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
)
_INNER_PREFIXES: Final = ("cf-int-", "cf-cloudflared-", "cf-proxy-")
_DATA_CENTRE: Final = "LAB"
_STATUS_NAMES: Final = {524: "A timeout occurred"}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Where the edge cuts: sizes in bytes, times in seconds."""

    body: int = 100_000_000
    """The largest request body of the Free and Pro plans: 100 MB."""
    response: float = 100.0
    """The longest wait for a response to begin, and between two parts of it."""
    target: int = 16 * 1024
    headers: int = 32 * 1024


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What the edge knows of one request besides its bytes."""

    address: str
    ray: str
    connector: str


def find_visitor(headers: MultiMapping[str], peer: str | None) -> str:
    """Return the visitor's address: the test's word for it, else the peer of the connection.

    Raises ValueError for an address that is none.
    """
    return str(ipaddress.ip_address(headers.get(VISITOR_HEADER, peer or "127.0.0.1")))


def find_refusal(target: str, headers: MultiMapping[str], limits: Limits) -> int | None:
    """Return the status with which the edge itself answers such a request, or None."""
    if not target.startswith("/") or "#" in target or not target.isascii():
        return HTTPStatus.BAD_REQUEST
    if len(target) > limits.target:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if sum(len(name) + len(value) + 4 for name, value in headers.items()) > limits.headers:
        return HTTPStatus.BAD_REQUEST
    if int(headers.get("Content-Length", 0)) > limits.body:
        return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return None


def build_origin_headers(headers: MultiMapping[str], visit: Visit) -> CIMultiDict[str]:
    """Return the headers that the origin gets for a visitor's request."""
    sent = _drop_hop_by_hop(headers)
    sent.popall("Expect", None)
    sent.popall(VISITOR_HEADER, None)
    # Appending, not replacing, is what makes a forged first address dangerous at the origin.
    forwarded = ", ".join([*sent.popall("X-Forwarded-For", []), visit.address])
    loops = ", ".join([*sent.popall("CDN-Loop", []), "cloudflare; loops=1"])
    for name, value in {
        "X-Forwarded-For": forwarded,
        "X-Forwarded-Proto": "https",
        "CF-Connecting-IP": visit.address,
        "CF-IPCountry": "XX",
        "CF-Ray": f"{visit.ray}-{_DATA_CENTRE}",
        "CF-Visitor": '{"scheme":"https"}',
        "CDN-Loop": loops,
        "Cf-Warp-Tag-Id": visit.connector,
        "Connection": "keep-alive",
    }.items():
        sent[name] = value
    return sent


def build_visitor_headers(headers: MultiMapping[str], ray: str) -> CIMultiDict[str]:
    """Return the headers that the visitor gets for an origin's response."""
    sent = _drop_hop_by_hop(headers)
    for name in {n for n in sent if n.lower().startswith(_INNER_PREFIXES)}:
        sent.popall(name)
    sent["Server"] = "cloudflare"
    sent["CF-Ray"] = f"{ray}-{_DATA_CENTRE}"
    sent.setdefault("CF-Cache-Status", "DYNAMIC")
    return sent


def build_error(status: int, ray: str) -> tuple[Mapping[str, str], str]:
    """Return headers and HTML page of an answer that the edge gives by itself: no CORS, no JSON."""
    name = _STATUS_NAMES.get(status) or HTTPStatus(status).phrase
    title = f"{status} {name}"
    page = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n<hr><center>cloudflare</center>\r\n"
        "</body>\r\n</html>\r\n"
    )
    headers = {
        "Server": "cloudflare",
        "CF-Ray": f"{ray}-{_DATA_CENTRE}",
        "Content-Type": "text/html",
    }
    return headers, page


def _drop_hop_by_hop(headers: MultiMapping[str]) -> CIMultiDict[str]:
    kept = CIMultiDict(headers)
    named = [n.strip() for value in headers.getall("Connection", []) for n in value.split(",")]
    for name in (*_HOP_BY_HOP, *named):
        kept.popall(name, None)
    return kept
