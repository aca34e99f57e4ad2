"""Long polls: many keep-alive connections over TLS, each with a /sync that waits."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

# New connections a second: handshakes cost processor time that polls do not.
PACE: Final = 50


class Connection:
    """One HTTP/1.1 connection that is kept."""

    def __init__(self, host: str, port: int, trust: ssl.SSLContext | None) -> None:
        self._host, self._port, self._trust = host, port, trust

    async def open(self) -> None:
        """Connect to 127.0.0.1, by TLS where there is a context."""
        named = self._host if self._trust else None
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", self._port, ssl=self._trust, server_hostname=named
        )

    async def get(self, path: str, token: str = "") -> int:
        """Send a GET and read its answer to the end; return the status."""
        bearer = f"Authorization: Bearer {token}\r\n" if token else ""
        request = f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n{bearer}\r\n"
        self._writer.write(request.encode())
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b"transfer-encoding: chunked" in head:
            while size := int(await self._reader.readline(), 16):
                await self._reader.readexactly(size + 2)
            await self._reader.readline()
        else:
            length = head.partition(b"content-length:")[2].split()[0]
            await self._reader.readexactly(int(length))
        return int(head.split()[1])

    def close(self) -> None:
        """Drop the connection."""
        if hasattr(self, "_writer"):
            self._writer.transport.abort()


@dataclass(kw_only=True)
class Crowd:
    """Clients that poll without end, as many as were asked for."""

    connect: Callable[[], Connection]
    path: str
    token: str
    failures: list[str] = field(default_factory=list)
    waiting: int = 0
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def grow(self, number: int) -> None:
        """Add clients at a steady pace until there are `number`."""
        while len(self._tasks) < number:
            self._tasks.append(asyncio.create_task(self._poll()))
            await asyncio.sleep(1 / PACE)

    async def _poll(self) -> None:
        connection = self.connect()
        try:
            await connection.open()
            while (status := await self._wait(connection)) == 200:
                pass
            self.failures.append(f"a poll was answered with {status}")
        except (OSError, EOFError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()

    async def _wait(self, connection: Connection) -> int:
        self.waiting += 1
        try:
            return await connection.get(self.path, self.token)
        finally:
            self.waiting -= 1

    async def leave(self) -> None:
        """End all polls."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def probe(connection: Connection, path: str, *, seconds: float, pause: float) -> list[float]:
    """Ask again and again on one connection; return each answer's time in ms."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        status = await connection.get(path)
        times.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise OSError(f"{path} was answered with {status}")
        await asyncio.sleep(pause)
    return times
