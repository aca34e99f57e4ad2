"""One kept HTTP/1.1 connection, for many clients in one process."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class HttpStream:
    """An open connection to `host`."""

    host: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def begin(
        self, method: str, path: str, length: int = 0, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a request's head, whose body of `length` bytes is to follow."""
        fields = {"Host": self.host, **(headers or {})}
        if length or method != "GET":
            fields["Content-Length"] = str(length)
        lines = [f"{name}: {value}" for name, value in fields.items()]
        self.writer.write("\r\n".join((f"{method} {path} HTTP/1.1", *lines, "", "")).encode())

    async def receive(self) -> tuple[int, bytes]:
        """Return the status and the body of the next answer, which has a length or chunks."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
        status = int(head.split(" ")[1])
        if "transfer-encoding: chunked" not in head:
            length = int(head.split("content-length: ")[1].split("\r\n")[0])
            return status, await self.reader.readexactly(length)
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return status, body

    async def ask(
        self, method: str, path: str, token: str = "", body: dict[str, Any] | None = None
    ) -> tuple[int, bytes]:
        """Send one request and return the status and the body of its answer."""
        data = b"" if body is None else json.dumps(body).encode()
        self.begin(method, path, len(data), {"Authorization": f"Bearer {token}"} if token else {})
        self.writer.write(data)
        await self.writer.drain()
        return await self.receive()

    def abort(self) -> None:
        """Drop the connection."""
        self.writer.transport.abort()

    async def aclose(self) -> None:
        """Drop the connection, for `contextlib.aclosing`."""
        self.abort()


async def open_stream(
    port: int, host: str, context: ssl.SSLContext | None, handshake: float = 60
) -> HttpStream:
    """Connect to a port of 127.0.0.1; with a context by TLS, verified for `host`."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        port,
        ssl=context,
        server_hostname=host if context else None,
        ssl_handshake_timeout=handshake if context else None,
    )
    return HttpStream(host=host, reader=reader, writer=writer)
