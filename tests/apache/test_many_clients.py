"""Many clients at once, and the end of a container while they wait."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Final

import pytest

from tests.apache.apache_container import ApacheContainer, Start
from tests.apache.configuration import plan_domain
from tests.support.engine import docker
from tests.support.http_stream import HttpStream
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

POLLS: Final = 1000
# More than Apache has threads, each of which keeps the memory that its first request took.
REQUESTS: Final = 2000
# Memory pages of its own that a child of Apache has at most after it was replaced: it starts with 2400.
FEW: Final = 2800
LIST_CHILDREN: Final = (
    "read -r all </proc/1/task/1/children; for child in $all; do"
    " read -r name </proc/$child/comm; read -r _ resident shared _ </proc/$child/statm;"
    " [[ $name != apache2 ]] || echo $child $((resident - shared)); done"
)


async def hold(front: ApacheContainer, gate: asyncio.Semaphore) -> HttpStream:
    """Open a connection with a long poll on it; few handshakes at a time, as in practice."""
    async with gate:
        stream = await front.open_stream()
        stream.begin("GET", "/_matrix/client/v3/sync?hold=600")
    return stream


async def count_held(stream: HttpStream) -> int:
    """Return how many requests are held at the backend now."""
    return int(json.loads((await stream.ask("GET", "/_matrix/client/versions"))[1])["held"])


async def hold_and_ask(front: ApacheContainer) -> tuple[int, list[int]]:
    """Hold the polls; return how many were held at once and the statuses of all requests."""
    gate = asyncio.Semaphore(32)
    polls = await asyncio.gather(*(hold(front, gate) for _ in range(POLLS)))
    asking = await front.open_stream()
    end = time.monotonic() + 30
    while (held := await count_held(asking)) < POLLS and time.monotonic() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    statuses = [(await asking.ask("GET", "/_matrix/client/versions"))[0] for _ in range(200)]
    asking.begin("GET", "/_matrix/x?release=1")
    streams = (asking, *polls)
    statuses += [status for status, _ in await asyncio.gather(*(s.receive() for s in streams))]
    for stream in streams:
        stream.abort()
    return held, statuses


def test_a_thousand_polls_leave_room_for_others(domain: ApacheContainer) -> None:
    """While 1000 long polls are held every other request is answered, and so are they at last."""
    assert asyncio.run(hold_and_ask(domain)) == (POLLS, [200] * (200 + 1 + POLLS))


def weigh_children(front: ApacheContainer) -> dict[int, int]:
    """Return how many memory pages of its own each child of Apache has, by its process id."""
    output = docker("exec", front.container, "bash", "-c", LIST_CHILDREN)
    return {int(child): int(pages) for child, pages in map(str.split, output.splitlines())}


def test_memory_is_given_back_after_a_burst(start: Start, backend: str) -> None:
    """Once a burst is over, a small child replaces the one that served it; no request is lost."""
    with start(plan_domain()) as front:
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
        wait_for(lambda: weigh_children(front).keys() - {old}, "a new child", 240)
        front.ask("/_matrix/x?release=1")
        assert polling.getresponse().status == 200
        polling.close()
        wait_for(lambda: old not in weigh_children(front), "the end of the old one", 240)
        assert max(weigh_children(front).values()) < FEW


def test_container_stops_in_time_while_polls_are_held(start: Start, backend: str) -> None:
    """`docker stop` ends Apache within its grace period, without a kill, while clients wait."""
    with start(plan_domain()) as front:
        polling = front.connect()
        polling.request("GET", "/_matrix/x?hold=60")
        wait_for(lambda: front.ask("/_matrix/x").json["held"] == 1, "the poll to be held")
        docker("stop", "--time", "15", front.container)
        assert docker("inspect", "--format", "{{.State.ExitCode}}", front.container) == "0"
        polling.close()
