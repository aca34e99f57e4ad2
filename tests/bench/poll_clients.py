"""Long polls: many keep-alive connections over TLS, each with a /sync that waits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from tests.support.http_stream import HttpStream

# New connections a second: handshakes cost processor time that polls do not.
PACE: Final = 50


@dataclass(kw_only=True)
class Crowd:
    """Clients that poll without end, as many as were asked for."""

    connect: Callable[[], Awaitable[HttpStream]]
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
        try:
            async with contextlib.aclosing(await self.connect()) as stream:
                while (status := await self._wait(stream)) == 200:
                    pass
            self.failures.append(f"a poll was answered with {status}")
        except (OSError, EOFError) as error:
            self.failures.append(f"{type(error).__name__}: {error}")

    async def _wait(self, stream: HttpStream) -> int:
        self.waiting += 1
        try:
            return (await stream.ask("GET", self.path, self.token))[0]
        finally:
            self.waiting -= 1

    async def leave(self) -> None:
        """End all polls."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def probe(stream: HttpStream, path: str, *, seconds: float, pause: float) -> list[float]:
    """Ask again and again on one connection; return each answer's time in ms."""
    times, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        status, _ = await stream.ask("GET", path)
        times.append((time.perf_counter() - began) * 1000)
        if status != 200:
            raise OSError(f"{path} was answered with {status}")
        await asyncio.sleep(pause)
    return times
