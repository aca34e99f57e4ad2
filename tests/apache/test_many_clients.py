"""Many clients at once, and the end of a container while they wait."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.apache.apache_container import Front, wait_for
from tests.apache.configuration import describe_domain
from tests.support.engine import docker

if TYPE_CHECKING:
    from tests.apache.conftest import Start

pytestmark = pytest.mark.engine

POLLS = 1000
# More than Apache has threads, each of which keeps the memory that its first request took.
REQUESTS = 2000
# Memory pages of its own that a child of Apache has at most after it was replaced: it starts with 2400.
FEW = 2800
LIST_CHILDREN = (
    "read -r all </proc/1/task/1/children; for child in $all; do"
    " read -r name </proc/$child/comm; read -r _ resident shared _ </proc/$child/statm;"
    " [[ $name != apache2 ]] || echo $child $((resident - shared)); done"
)
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(front: Front) -> Streams:
    """Open a verified connection."""
    return await asyncio.open_connection(
        *front.address,
        ssl=front.trusting,
        server_hostname=front.homeserver,
        ssl_handshake_timeout=60,
    )


async def send(streams: Streams, front: Front, target: str) -> None:
    """Send a request."""
    head = f"GET {target} HTTP/1.1\r\nHost: {front.homeserver}\r\n\r\n"
    streams[1].write(head.encode())
    await streams[1].drain()


async def receive(streams: Streams) -> tuple[int, bytes]:
    """Return the status and the body of the next response."""
    head = (await streams[0].readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length: ")[1].split("\r\n")[0])
    return int(head.split(" ")[1]), await streams[0].readexactly(length)


async def hold(front: Front, gate: asyncio.Semaphore) -> Streams:
    """Open a connection with a long poll on it; few handshakes at a time, as in life."""
    async with gate:
        streams = await connect(front)
        await send(streams, front, "/_matrix/client/v3/sync?hold=600")
    return streams


async def count_held(front: Front, streams: Streams) -> int:
    """Return how many requests wait at the backend now."""
    await send(streams, front, "/_matrix/client/versions")
    return int(json.loads((await receive(streams))[1])["held"])


async def hold_and_ask(front: Front) -> tuple[int, list[int]]:
    """Hold the polls; return how many were held at once and the statuses of all requests."""
    gate = asyncio.Semaphore(32)
    polls = await asyncio.gather(*(hold(front, gate) for _ in range(POLLS)))
    asking = await connect(front)
    end = time.monotonic() + 30
    while (held := await count_held(front, asking)) < POLLS and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    statuses = []
    for _ in range(200):
        await send(asking, front, "/_matrix/client/versions")
        statuses.append((await receive(asking))[0])
    await send(asking, front, "/_matrix/x?release=1")
    statuses += [status for status, _ in await asyncio.gather(*map(receive, (asking, *polls)))]
    for _, writer in (*polls, asking):
        writer.transport.abort()
    return held, statuses


def test_a_thousand_polls_leave_room_for_others(domain: Front) -> None:
    """While 1000 long polls are held every other request is answered, and so are they at last."""
    assert asyncio.run(hold_and_ask(domain)) == (POLLS, [200] * (200 + 1 + POLLS))


def weigh_children(front: Front) -> dict[int, int]:
    """Return how many memory pages of its own each child of Apache has, by its process id."""
    told = docker("exec", front.container, "bash", "-c", LIST_CHILDREN)
    return {int(child): int(pages) for child, pages in map(str.split, told.splitlines())}


def test_memory_is_given_back_after_a_burst(start: Start, backend: str, gateway: str) -> None:
    """Once a burst is over, a small child replaces the one that served it; no request is lost."""
    with start(describe_domain(gateway)) as front:
        polling, asking, idle = front.connect(timeout=600), front.connect(), front.connect()
        polling.request("GET", "/_matrix/x?hold=600")
        for number in range(REQUESTS):
            # Nothing is replaced as long as a connection is kept that is idle nearly always.
            connection = asking if number % 100 else idle
            connection.request("GET", "/_matrix/client/versions")
            assert connection.getresponse().read()
        ((old, pages),) = weigh_children(front).items()
        assert pages > FEW
        asking.close()
        idle.close()
        wait_for("a new child", lambda: weigh_children(front).keys() - {old}, 240)
        front.ask("/_matrix/x?release=1")
        assert polling.getresponse().status == 200
        polling.close()
        wait_for("the end of the old one", lambda: old not in weigh_children(front), 240)
        assert max(weigh_children(front).values()) < FEW


def test_container_stops_in_time_while_polls_are_held(
    start: Start, backend: str, gateway: str
) -> None:
    """`docker stop` ends Apache within its grace period, by its own will, while clients wait."""
    with start(describe_domain(gateway)) as front:
        polling = front.connect()
        polling.request("GET", "/_matrix/x?hold=60")
        wait_for("the poll to be held", lambda: front.ask("/_matrix/x").json["held"] == 1)
        docker("stop", "--time", "15", front.container)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", front.container) == "0"
        polling.close()
