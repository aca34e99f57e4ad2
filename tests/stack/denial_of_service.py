"""Many who mean no good on the front door at once, in one process: what a siege does, and to whom."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from tests.stack.accounts import CLIENT, Person
from tests.support.stacks import Stack

SLOW_UPLOADS: Final = 1280
OVERSIZED_BODIES: Final = 200
POLLS: Final = 1000
# Seconds after which somebody who was refused comes again.
RETURN: Final = 15
Headers = dict[str, str]


@dataclass(kw_only=True)
class Line:
    """One kept connection to Apache."""

    homeserver: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def begin(self, method: str, path: str, length: int, headers: Headers) -> None:
        """Send a request's head, whose body of `length` bytes is to follow."""
        named = {"Host": self.homeserver, "Content-Length": str(length), **headers}
        lines = [f"{name}: {value}" for name, value in named.items()]
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
        """Send one request and return its status and body."""
        data = b"" if body is None else json.dumps(body).encode()
        self.begin(method, path, len(data), {"Authorization": f"Bearer {token}"} if token else {})
        self.writer.write(data)
        return await self.receive()


@dataclass(kw_only=True)
class Siege:
    """What besiegers have been told, by kind; `held` counts who is in the middle of something."""

    stack: Stack
    poller: Person
    since: str
    trusting: ssl.SSLContext
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(16))
    told: Counter[tuple[str, int]] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Line]:
        """Open a connection; few handshakes at a time, as Cloudflare's tunnel makes them."""
        async with self.gate:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1",
                self.stack.https_port,
                ssl=self.trusting,
                server_hostname=self.stack.homeserver,
                ssl_handshake_timeout=120,
            )
        try:
            yield Line(homeserver=self.stack.homeserver, reader=reader, writer=writer)
        finally:
            writer.transport.abort()

    async def repeat(self, kind: str, act: Callable[[Line], Awaitable[int]]) -> None:
        """Act for ever, on a new connection each time the last one ended, after a rest."""
        while True:
            with suppress(OSError, EOFError, asyncio.IncompleteReadError, IndexError):
                async with self.connect() as line:
                    self.held[kind] += 1
                    try:
                        self.told[kind, await act(line)] += 1
                    finally:
                        self.held[kind] -= 1
            await asyncio.sleep(RETURN * random.uniform(0.5, 1.5))

    async def upload_slowly(self, line: Line) -> int:
        """Upload as slowly as Apache allows, until it says something."""
        line.begin("POST", "/_matrix/media/v3/upload", 10_000_000, {})
        answer = asyncio.ensure_future(line.receive())
        try:
            while not answer.done():
                line.writer.write(bytes(5000))
                await asyncio.wait([answer], timeout=1)
            return answer.result()[0]
        finally:
            answer.cancel()

    async def send_too_much(self, line: Line) -> int:
        """Begin to sign in with 16 MiB of small objects."""
        line.begin("POST", f"{CLIENT}/login", 16 * 2**20, {})
        line.writer.write(b"[" + b'{"a":{}},' * 1000)
        return (await line.receive())[0]

    async def poll(self, line: Line) -> int:
        """Hold one long poll after another."""
        path = f"{CLIENT}/sync?timeout=30000&since={self.since}"
        while True:
            status, _ = await line.ask("GET", path, self.poller.token)
            self.told["poll", status] += 1

    async def guess(self, line: Line) -> int:
        """Try one password after another."""
        who = {"type": "m.id.user", "user": self.stack.admin}
        while True:
            body = {"type": "m.login.password", "identifier": who, "password": "guess"}
            status, _ = await line.ask("POST", f"{CLIENT}/login", body=body)
            self.told["guess", status] += 1
            await asyncio.sleep(0.1)


@asynccontextmanager
async def besiege(stack: Stack, poller: Person) -> AsyncIterator[Siege]:
    """Besiege a bundle's Apache: everybody comes, and comes again, until the end of the block."""
    since = poller.call("GET", "/sync")["next_batch"]
    siege = Siege(stack=stack, poller=poller, since=since, trusting=stack.trust())
    kinds: tuple[tuple[str, int, Callable[[Line], Awaitable[int]]], ...] = (
        ("poll", POLLS, siege.poll),
        ("guess", 1, siege.guess),
        ("upload", SLOW_UPLOADS, siege.upload_slowly),
        ("body", OVERSIZED_BODIES, siege.send_too_much),
    )
    tasks = [
        asyncio.create_task(siege.repeat(kind, act))
        for kind, number, act in kinds
        for _ in range(number)
    ]
    try:
        yield siege
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
