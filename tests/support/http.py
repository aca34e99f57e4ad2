"""One HTTP request and its whole answer, with the path as it was written."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


def ask(
    connection: HTTPConnection,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | dict[str, Any] | None = None,
    token: str | None = None,
    server_hostname: str | None = None,
) -> Answer:
    """Send one request and read the whole answer."""
    if isinstance(connection, HTTPSConnection) and server_hostname:
        connection.sock = connection._context.wrap_socket(  # type: ignore[attr-defined]
            socket.create_connection(("127.0.0.1", connection.port), timeout=connection.timeout),
            server_hostname=server_hostname,
        )
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    sent = {"Host": server_hostname, **(headers or {})} if server_hostname else dict(headers or {})
    if token:
        sent["Authorization"] = f"Bearer {token}"
    try:
        connection.request(method, path, body=data, headers={k: v for k, v in sent.items() if v})
        response: HTTPResponse = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=named, body=response.read())
    finally:
        connection.close()
