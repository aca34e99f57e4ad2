"""Clients of people who write: each sends messages into a room of its own, and follows `/sync` if wanted."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from tests.support.http_stream import HttpStream, open_stream
from tests.support.matrix import CLIENT
from tests.support.stacks import Stack


@dataclass(frozen=True, kw_only=True)
class ChatClient:
    """One user's client; `room` is the path of the room."""

    stack: Stack
    token: str
    room: str

    async def chat(self, until: float, *, syncing: bool) -> int:
        """Send one message after the other; return how many were acknowledged. AssertionError for any other answer."""
        following = asyncio.create_task(self._follow() if syncing else asyncio.sleep(0))
        try:
            sent = await self._send(until)
            if following.done():
                following.result()
        finally:
            following.cancel()
        return sent

    async def _send(self, until: float) -> int:
        sent = 0
        async with aclosing(await self._connect()) as stream:
            while time.monotonic() < until:
                path = f"{self.room}/send/m.room.message/{secrets.token_hex(8)}"
                await self._ask(stream, "PUT", path, {"msgtype": "m.text", "body": "a message"})
                sent += 1
        return sent

    async def _follow(self) -> None:
        since = ""
        async with aclosing(await self._connect()) as stream:
            while True:
                answer = await self._ask(stream, "GET", f"{CLIENT}/sync?timeout=30000{since}")
                since = f"&since={answer['next_batch']}"

    async def _connect(self) -> HttpStream:
        return await open_stream(self.stack.https_port, self.stack.homeserver, self.stack.trust())

    async def _ask(
        self, stream: HttpStream, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Any:
        status, answer = await stream.ask(method, path, self.token, body)
        if status != 200:
            raise AssertionError(f"{method} {path} was answered with {status}: {answer[:300]!r}")
        return json.loads(answer)


async def chat_at_once(clients: tuple[ChatClient, ...], *, seconds: float, syncing: bool) -> int:
    """Let all clients send at once for so long; return how many messages were acknowledged."""
    until = time.monotonic() + seconds
    return sum(await asyncio.gather(*(client.chat(until, syncing=syncing) for client in clients)))
