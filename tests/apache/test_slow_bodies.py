"""What slow bodies can take of Apache's threads, and what they leave to others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.apache.configuration import describe_domain
from tests.apache.test_many_clients import connect, receive, send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.apache.apache_container import Front
    from tests.apache.conftest import Start
    from tests.apache.test_many_clients import Streams

pytestmark = pytest.mark.engine

# More than there are threads.
SLOW = 1300
# In seconds; the bodies of these tests are awaited ten times as long.
PATIENCE = 60
ASKED = ("/.well-known/matrix/client", "/_matrix/client/versions", "/_matrix/client/v3/sync")


@pytest.fixture(scope="module")
def patient(start: Start, backend: str, gateway: str) -> Iterator[Front]:
    """Start an Apache that waits for bodies longer than a test may last on a busy machine."""
    timeouts = f"handshake=60 header=60 body={10 * PATIENCE}"
    with start(describe_domain(gateway), RequestReadTimeout=timeouts, Timeout="600") as front:
        yield front


async def begin(front: Front, gate: asyncio.Semaphore, target: str, length: int) -> Streams:
    """Send the head of a request, and less of its body than it announces."""
    async with gate:
        streams = await connect(front)
        head = f"POST {target} HTTP/1.1\r\nHost: {front.homeserver}\r\nContent-Length: {length}\r\n\r\n"
        streams[1].write(head.encode() + bytes(min(600, length - 1)))
        await streams[1].drain()
    return streams


async def ask_beside(front: Front, target: str, length: int) -> list[int]:
    """Return the statuses of others' requests while many bodies never arrive."""
    gate = asyncio.Semaphore(32)
    slow = await asyncio.gather(*(begin(front, gate, target, length) for _ in range(SLOW)))
    statuses = []
    for asked in ASKED:
        async with asyncio.timeout(PATIENCE):
            asking = await connect(front)
            await send(asking, front, asked)
            statuses.append((await receive(asking))[0])
        slow.append(asking)
    for _, writer in slow:
        writer.transport.abort()
    await asyncio.gather(*(writer.wait_closed() for _, writer in slow), return_exceptions=True)
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
def test_slow_bodies_leave_threads_to_others(patient: Front, target: str, length: int) -> None:
    """However many bodies arrive slowly, whatever has none is answered."""
    assert asyncio.run(ask_beside(patient, target, length)) == [200] * len(ASKED)
