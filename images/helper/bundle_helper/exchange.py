"""One HTTP request and its answer, over a connection of its own.

It uses http.client because that sends the request target byte for byte: every other client
normalizes `//`, `%2F` or `..`, which are the very bytes that the checks are about.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from .errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message
    from pathlib import Path

_TIMEOUT_SECONDS: Final = 5.0
OK: Final = range(200, 300)
_HTTPS_PORT: Final = 443
_HTTP_PORT: Final = 80
_LONGEST_BODY: Final = 1024 * 1024


class ExchangeError(HelperError):
    """No answer came; the message names the service and the reason."""

    def __init__(self, endpoint: Endpoint, error: Exception) -> None:
        reason = getattr(error, "verify_message", "") or getattr(error, "strerror", None)
        host, port = endpoint.address
        super().__init__(
            f"{endpoint.service} at {host}:{port} did not answer:"
            f" {reason or str(error) or type(error).__name__}"
        )
        self.service = endpoint.service


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where to connect, and the host to ask for there."""

    service: str
    address: tuple[str, int]
    host: str
    tls: ssl.SSLContext | None = None
    tls_name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request target exactly as it is sent, with method, headers and body."""

    target: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The response; `own_address` is this container's side of the connection."""

    status: int
    headers: Message
    body: bytes
    own_address: str

    def json(self) -> dict[str, Any]:
        """Return the body if it is a JSON object, and an empty one otherwise."""
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def errcode(self) -> str:
        """Matrix's error code in the body, or nothing."""
        return str(self.json().get("errcode", ""))


def ask(
    endpoint: Endpoint,
    request: Request,
    timeout: float = _TIMEOUT_SECONDS,
    longest: int = _LONGEST_BODY,
) -> Answer:
    """Send `request` and return the answer, redirects not followed; ExchangeError if none came."""
    try:
        with connect(endpoint, timeout) as connected:
            return converse(connected, endpoint.host, request, longest)
    except (OSError, http.client.HTTPException) as error:
        raise ExchangeError(endpoint, error) from error


def ask_url(
    url: str,
    root: Path | None = None,
    *,
    headers: Mapping[str, str] | None = None,
    longest: int = _LONGEST_BODY,
) -> Answer:
    """Return what a URL answers with, of its body at most `longest` bytes.

    HelperError says why there was no answer, but not the URL, which may be a secret.
    """
    parts = urlsplit(url)
    context = None
    if parts.scheme == "https":
        context = ssl.create_default_context()
        if root is not None:
            context.load_verify_locations(root)
    host = parts.hostname or ""
    endpoint = Endpoint(
        service=host,
        address=(host, parts.port or (_HTTPS_PORT if context else _HTTP_PORT)),
        host=parts.netloc.rpartition("@")[2],
        tls=context,
        tls_name=host,
    )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        return ask(endpoint, Request(target=target, headers=headers or {}), longest=longest)
    except ExchangeError as error:
        cause = error.__cause__
        reason = getattr(cause, "verify_message", "") or getattr(cause, "strerror", None)
        raise HelperError(f"no answer ({reason or type(cause).__name__})") from error


def connect(endpoint: Endpoint, timeout: float = _TIMEOUT_SECONDS) -> socket.socket:
    """Open a connection, with TLS if the endpoint has it; OSError passes through."""
    plain = socket.create_connection(endpoint.address, timeout)
    return plain if endpoint.tls is None else wrap(plain, endpoint.tls, endpoint.tls_name)


def wrap(plain: socket.socket, context: ssl.SSLContext, name: str | None) -> ssl.SSLSocket:
    """Begin TLS on a connection, which is closed if that fails."""
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def converse(
    connected: socket.socket, host: str, request: Request, longest: int = _LONGEST_BODY
) -> Answer:
    """Ask `host` over an open connection and read at most `longest` bytes of the body.

    OSError and http.client.HTTPException pass through; a body that breaks off is one of the latter.
    """
    connection = http.client.HTTPConnection(host)
    connection.sock = connected
    connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
    headers = {"Host": host, "Connection": "close", **request.headers}
    if request.body:
        headers.setdefault("Content-Length", str(len(request.body)))
    for name, value in headers.items():
        connection.putheader(name, value)
    own_address = connected.getsockname()[0]
    connection.endheaders(request.body or None)
    response = connection.getresponse()
    try:
        body = response.read(longest)
        if response.length and len(body) < longest:
            raise http.client.IncompleteRead(body, response.length)
        return Answer(
            status=response.status,
            headers=response.headers,
            body=body,
            own_address=own_address,
        )
    finally:
        response.close()
