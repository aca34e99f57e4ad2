"""A client of the front door: one request, and its whole answer, byte for byte."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from typing import Any, Final

from cryptography import x509

from tests.support.waiting import PATIENCE

Body = bytes | Iterable[bytes] | None
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body's JSON."""
        return json.loads(self.body)

    def get_all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return self.headers.get_all(name, [])


def trust_any() -> ssl.SSLContext:
    """Return a context that accepts any certificate, for a look at it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def open_tls(
    port: int, host: str, context: ssl.SSLContext, timeout: float = PATIENCE
) -> ssl.SSLSocket:
    """Connect to a port of 127.0.0.1 whose certificate is verified for `host`."""
    plain = socket.create_connection(("127.0.0.1", port), timeout)
    return context.wrap_socket(plain, server_hostname=host)


def read_certificate(port: int, host: str, context: ssl.SSLContext) -> x509.Certificate:
    """Return the certificate that is served for `host`."""
    with open_tls(port, host, context) as connection:
        return x509.load_der_x509_certificate(connection.getpeercert(binary_form=True) or b"")


def connect_tls(
    port: int, host: str, context: ssl.SSLContext, timeout: float = PATIENCE
) -> HTTPConnection:
    """Return a connection for requests to `host`, over TLS as `open_tls` makes it."""
    connection = HTTPConnection(host, timeout=timeout)
    connection.sock = open_tls(port, host, context, timeout)
    return connection


def send(
    connection: HTTPConnection,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]] = (),
    body: Body = None,
) -> Answer:
    """Send one request and read the whole answer; the connection is closed then.

    A body in parts goes out in chunks. A length among the headers is sent as it is.
    """
    fields = list(headers)
    names = {name.lower() for name, _ in fields}
    if not names & {"content-length", "transfer-encoding"}:
        fields += _frame(method, body)
    try:
        connection.putrequest(method, target, skip_host="host" in names, skip_accept_encoding=True)
        for name, value in fields:
            connection.putheader(name, value)
        # A server may answer, and close, before it has read everything.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(body, encode_chunked=not isinstance(body, bytes | None))
        response = connection.getresponse()
        return Answer(status=response.status, headers=response.headers, body=response.read())
    finally:
        connection.close()


def _frame(method: str, body: Body) -> list[tuple[str, str]]:
    if body is None:
        return [("Content-Length", "0")] if method in _WITH_BODY else []
    if isinstance(body, bytes):
        return [("Content-Length", str(len(body)))]
    return [("Transfer-Encoding", "chunked")]


def ask(
    connection: HTTPConnection,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | dict[str, Any] | None = None,
    token: str | None = None,
) -> Answer:
    """Send one request of the Matrix API: a mapping as JSON, an access token as a header."""
    fields = dict(headers or {})
    if token:
        fields["Authorization"] = f"Bearer {token}"
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    return send(connection, method, path, [(k, v) for k, v in fields.items() if v], data)
