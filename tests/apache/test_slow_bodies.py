"""How many of Apache's threads slow bodies can occupy, and what others get."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

import pytest

from tests.apache.apache_container import ApacheContainer, Start
from tests.apache.configuration import plan_domain
from tests.support.http_stream import HttpStream

pytestmark = pytest.mark.engine

# More than there are threads.
SLOW: Final = 1300
# In seconds; the bodies of these tests are awaited ten times as long.
ANSWERED_WITHIN: Final = 60
ASKED: Final = ("/.well-known/matrix/client", "/_matrix/client/versions", "/_matrix/client/v3/sync")


@pytest.fixture(scope="module")
def patient(start: Start, backend: str) -> Iterator[ApacheContainer]:
    """Start an Apache that waits for bodies longer than a test may last on a busy machine."""
    timeouts = f"handshake=60 header=60 body={10 * ANSWERED_WITHIN}"
    with start(plan_domain(), RequestReadTimeout=timeouts, Timeout="600") as front:
        yield front


async def begin(
    front: ApacheContainer, gate: asyncio.Semaphore, target: str, length: int
) -> HttpStream:
    """Send the head of a request, and less of its body than it announces."""
    async with gate:
        stream = await front.open_stream()
        stream.begin("POST", target, length)
        stream.writer.write(bytes(min(600, length - 1)))
        await stream.writer.drain()
    return stream


async def ask_beside(front: ApacheContainer, target: str, length: int) -> list[int]:
    """Return the statuses of others' requests while many bodies never arrive."""
    gate = asyncio.Semaphore(32)
    streams = await asyncio.gather(*(begin(front, gate, target, length) for _ in range(SLOW)))
    statuses = []
    for asked in ASKED:
        async with asyncio.timeout(ANSWERED_WITHIN):
            stream = await front.open_stream()
            statuses.append((await stream.ask("GET", asked))[0])
        streams.append(stream)
    for stream in streams:
        stream.abort()
    closing = (stream.writer.wait_closed() for stream in streams)
    await asyncio.gather(*closing, return_exceptions=True)
    return statuses


@pytest.mark.parametrize(
    ("target", "length"),
    [
        ("/_matrix/media/v3/upload", 1_000_000),
        ("/_matrix/client/v3/login", 1000),
        ("/_matrix/federation/v1/send/1", 1000),
        ("/.well-known/matrix/client", 1000),
        ("/_synapse/admin/v1/users", 1000),
        ("/_matrix//client/v3/login", 1000),
    ],
)
def test_slow_bodies_leave_threads_to_others(
    patient: ApacheContainer, target: str, length: int
) -> None:
    """However many bodies arrive slowly, requests without a body are answered."""
    assert asyncio.run(ask_beside(patient, target, length)) == [200] * len(ASKED)
