"""An attack on the front door: many abusive clients at once, in one process."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from tests.stack.accounts import Person
from tests.support.http_stream import HttpStream, open_stream
from tests.support.matrix import CLIENT, LOGIN, build_login
from tests.support.stacks import Stack

SLOW_UPLOADS: Final = 1280
OVERSIZED_BODIES: Final = 200
POLLS: Final = 1000
# Seconds after which a client that was refused comes again.
RETRY: Final = 15

Client = Callable[[HttpStream], Awaitable[int]]


@dataclass(kw_only=True)
class Attack:
    """How often each kind of client got each status; `held` counts those that are busy now."""

    stack: Stack
    poller: Person
    since: str
    context: ssl.SSLContext
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(16))
    answered: Counter[tuple[str, int]] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[HttpStream]:
        """Open a connection; few handshakes at a time, as Cloudflare's tunnel makes them."""
        async with self.gate:
            stream = await open_stream(
                self.stack.https_port, self.stack.homeserver, self.context, handshake=120
            )
        try:
            yield stream
        finally:
            stream.abort()

    async def repeat(self, kind: str, act: Client) -> None:
        """Repeat for ever, with a pause and a new connection each time one ends."""
        while True:
            with suppress(OSError, EOFError, asyncio.IncompleteReadError, IndexError):
                async with self.connect() as stream:
                    self.held[kind] += 1
                    try:
                        self.answered[kind, await act(stream)] += 1
                    finally:
                        self.held[kind] -= 1
            await asyncio.sleep(RETRY * random.uniform(0.5, 1.5))

    async def upload_slowly(self, stream: HttpStream) -> int:
        """Upload as slowly as Apache allows, until it answers."""
        stream.begin("POST", "/_matrix/media/v3/upload", 10_000_000)
        answer = asyncio.ensure_future(stream.receive())
        try:
            while not answer.done():
                stream.writer.write(bytes(5000))
                await asyncio.wait([answer], timeout=1)
            return answer.result()[0]
        finally:
            answer.cancel()

    async def send_too_much(self, stream: HttpStream) -> int:
        """Begin to sign in with 16 MiB of small objects."""
        stream.begin("POST", LOGIN, 16 * 2**20)
        stream.writer.write(b"[" + b'{"a":{}},' * 1000)
        return (await stream.receive())[0]

    async def poll(self, stream: HttpStream) -> int:
        """Hold one long poll after another, each from where the last one ended: an old one is not held."""
        since = self.since
        while True:
            path = f"{CLIENT}/sync?timeout=30000&since={since}"
            status, brought = await stream.ask("GET", path, self.poller.token)
            self.answered["poll", status] += 1
            if status == HTTPStatus.OK:
                since = json.loads(brought)["next_batch"]

    async def guess(self, stream: HttpStream) -> int:
        """Try one password after another."""
        body = build_login(self.stack.admin, "guess")
        while True:
            status, _ = await stream.ask("POST", LOGIN, body=body)
            self.answered["guess", status] += 1
            await asyncio.sleep(0.1)


@asynccontextmanager
async def launch_attack(stack: Stack, poller: Person) -> AsyncIterator[Attack]:
    """Attack a bundle's Apache until the end of the block; a client that is refused comes again."""
    since = poller.call("GET", "/sync")["next_batch"]
    attack = Attack(stack=stack, poller=poller, since=since, context=stack.trust())
    kinds: tuple[tuple[str, int, Client], ...] = (
        ("poll", POLLS, attack.poll),
        ("guess", 1, attack.guess),
        ("upload", SLOW_UPLOADS, attack.upload_slowly),
        ("body", OVERSIZED_BODIES, attack.send_too_much),
    )
    tasks = [
        asyncio.create_task(attack.repeat(kind, act))
        for kind, number, act in kinds
        for _ in range(number)
    ]
    try:
        yield attack
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
