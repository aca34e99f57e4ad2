"""A client that sends and syncs during an attack on the front door."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.stack.accounts import NUMBERS, Person, register
from tests.stack.denial_of_service import (
    OVERSIZED_BODIES,
    POLLS,
    SLOW_UPLOADS,
    Attack,
    launch_attack,
)
from tests.stack.message_sender import open_sender
from tests.support.http_stream import HttpStream
from tests.support.matrix import CLIENT, LOGIN, escape
from tests.support.stacks import Stack
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.engine

SECONDS: Final = 20
# Seconds for 99 of 100 round trips. A slow upload may last for half an hour (RequestReadTimeout), so a client
# whose place one has taken waits for minutes, on any machine.
BOUND: Final = 20


@dataclass(kw_only=True)
class KeptClient:
    """A client that keeps its connection, and opens another when the server has closed it.

    A server may close an idle connection at any time, as Apache does when its threads run short, and
    a client then sends its request again (RFC 9112, 9.3.1), unless an answer had begun. The time for
    that counts too.
    """

    attack: Attack
    connections: AsyncExitStack
    stream: HttpStream | None = None

    async def ask(
        self, method: str, path: str, token: str, body: dict[str, Any] | None = None
    ) -> tuple[int, bytes]:
        """Send one request, on a new connection if the kept one turns out to be closed."""
        if self.stream is not None:
            try:
                return await self.stream.ask(method, path, token, body)
            except ConnectionError:
                pass
            except asyncio.IncompleteReadError as error:
                if error.partial:
                    raise
        self.stream = await self.connections.enter_async_context(self.attack.connect())
        return await self.stream.ask(method, path, token, body)


async def send_and_sync(
    client: KeptClient, person: Person, room: str, since: str
) -> tuple[float, str]:
    """Send a message and wait until sync brings it; return the seconds, and where sync is now."""
    began = time.monotonic()
    path = f"{CLIENT}/rooms/{escape(room)}/send/m.room.message/{next(NUMBERS)}"
    body = {"msgtype": "m.text", "body": "hello"}
    status, sent = await client.ask("PUT", path, person.token, body)
    assert status == 200, sent
    event, found = json.loads(sent)["event_id"], False
    while not found:
        path = f"{CLIENT}/sync?timeout=30000&since={since}"
        status, brought = await client.ask("GET", path, person.token)
        assert status == 200, brought
        found, since = event.encode() in brought, json.loads(brought)["next_batch"]
    return time.monotonic() - began, since


async def measure(attack: Attack, person: Person, room: str) -> float:
    """Send and sync for a while; return the seconds that 99 of 100 round trips did not exceed."""
    times: list[float] = []
    async with AsyncExitStack() as connections:
        client = KeptClient(attack=attack, connections=connections)
        _, first = await client.ask("GET", f"{CLIENT}/sync", person.token)
        since = json.loads(first)["next_batch"]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end or len(times) < 100:
            taken, since = await send_and_sync(client, person, room, since)
            times.append(taken)
            await asyncio.sleep(0.05)
    return sorted(times)[len(times) * 99 // 100]


def see_states(stack: Stack) -> list[tuple[bool, str]]:
    """Return whether Synapse and Apache were ended for their memory, and since when they run."""
    states = [stack.inspect(service)["State"] for service in ("synapse", "apache")]
    return [(state["OOMKilled"], state["StartedAt"]) for state in states]


async def wait_for_attack(attack: Attack) -> None:
    """Wait until every client of the attack is connected or has been refused once."""
    async with asyncio.timeout(PATIENCE):
        while not (  # noqa: ASYNC110 - many tasks would have to set an event
            attack.held["poll"] >= POLLS
            and attack.held["upload"] + attack.answered["upload", 503] >= SLOW_UPLOADS
            and attack.answered["body", 413] >= OVERSIZED_BODIES
        ):
            await asyncio.sleep(0.2)


async def measure_attack(stack: Stack, person: Person, room: str) -> tuple[float, Attack]:
    """Measure a client during the attack."""
    async with launch_attack(stack, register(stack)) as attack:
        await wait_for_attack(attack)
        return await measure(attack, person, room), attack


def test_a_client_is_served_during_an_attack(trial: Stack) -> None:
    """1280 slow uploads, 200 oversized bodies, 1000 held polls and a guesser keep no other client waiting.

    Each message of a real client is sent, and 99 of 100 come back by sync soon. Synapse stays below its
    memory limit and is never started again.
    """
    sender = open_sender(trial)
    before = see_states(trial)
    taken, attack = asyncio.run(measure_attack(trial, sender.person, sender.room))
    seen = f"took {taken:.3f} s, answered {attack.answered}"
    assert taken < BOUND, seen
    assert see_states(trial) == before, seen
    # A poll of 30 s may have been held all the while.
    assert {status for kind, status in attack.answered if kind == "poll"} <= {200}, seen
    assert attack.answered["guess", 200] == 0


def fill(size: int) -> bytes:
    """Return JSON of a size that takes thirty times as much when it is parsed."""
    return b"[" + b'{"a":{}},' * ((size - 8) // 9) + b"null]"


@pytest.mark.parametrize(
    ("method", "path", "size", "statuses"),
    [
        ("POST", LOGIN, 16 * 2**20, {413}),
        ("PUT", "/_matrix/federation/v1/send/x", 16 * 2**20, {413}),
        # The largest that pass, of people who have shown nothing.
        ("POST", LOGIN, 256 * 2**10, {400}),
        ("PUT", f"{CLIENT}/profile/@a:b/displayname", 4 * 2**20, {400, 401}),
        ("PUT", "/_matrix/federation/v1/send/x", 10 * 2**20, {400, 401, 503}),
    ],
)
def test_large_bodies_do_not_end_synapse(
    trial: Stack, method: str, path: str, size: int, statuses: set[int]
) -> None:
    """Four strangers at once send the largest bodies that are allowed, and Synapse goes on."""
    before = see_states(trial)
    refusals = statuses & {413, 503}

    def send(_: int) -> int:
        try:
            return trial.ask(method, path, body=fill(size)).status
        except OSError:
            # Who is refused before the whole body has come, and sends on slowly, meets a closed connection.
            if not refusals:
                raise
            return min(refusals)

    with ThreadPoolExecutor(4) as strangers:
        assert set(strangers.map(send, range(4))) <= statuses
    assert see_states(trial) == before
