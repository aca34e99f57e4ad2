"""Row 10: what a backup does to those who send messages meanwhile."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from tests.bench.figures import Contender, Figure, Goal, Sample, divide, take_percentile
from tests.bench.filled_server import FilledServer
from tests.bench.run_context import RunContext, expect, sign_in
from tests.support.http_stream import open_stream
from tests.support.matrix import CLIENT, escape
from tests.support.stacks import Stack

ROUNDS: Final = 3
PAUSE: Final = 0.03
# Seconds: two sends before and after a set are not worth a comparison.
SHORTEST: Final = 5.0
# What only computes, and lets everything else come first.
COMPUTING: Final = ("nice", "-n", "19", "sh", "-c", "while :; do :; done")


def measure(context: RunContext, server: FilledServer) -> list[Figure]:
    """Send without a backup for as long as the first set takes, then during one, and so on."""
    target = Target.open(server.stack)
    return compare(asyncio.run(target.send_in_turns(context, server)))


class Target:
    """A room of the administrator's, whom no rate limit holds back, and a client that sends to it."""

    def __init__(self, stack: Stack, room: str, token: str) -> None:
        self._stack, self._token = stack, token
        self._path = f"{CLIENT}/rooms/{escape(room)}/send/m.room.message/"
        self._number = 0

    @classmethod
    def open(cls, stack: Stack) -> Target:
        """Sign in, lift the limit, make the room."""
        token = sign_in(stack).token
        user = escape(f"@{stack.admin}:{stack.server_name}")
        limits = f"/_synapse/admin/v1/users/{user}/override_ratelimit"
        expect(stack.ask_synapse("POST", limits, body={"messages_per_second": 0}, token=token))
        room = expect(stack.ask("POST", f"{CLIENT}/createRoom", body={}, token=token))["room_id"]
        return cls(stack, room, token)

    async def send_in_turns(
        self, context: RunContext, server: FilledServer
    ) -> dict[str, list[Sample]]:
        """Return the p99 of each turn in ms: quiet, during a first set, and beside a process that only computes."""
        found: dict[str, list[Sample]] = {"quiet": [], "backup": [], "computing": []}
        seconds = SHORTEST
        # The first connection and the first messages are slower than any after them.
        await self.send_until(ends_after(SHORTEST))
        for number in range(min(ROUNDS, context.rounds)):
            server.forget_sets()
            task = asyncio.create_task(asyncio.to_thread(server.make_set))
            during = await self.send_until(task.done)
            seconds = max(SHORTEST, (await task).seconds)
            quiet = await self.send_until(ends_after(seconds))
            with computing():
                beside = await self.send_until(ends_after(seconds))
            for name, times in (("quiet", quiet), ("backup", during), ("computing", beside)):
                found[name].append(Sample(value=take_percentile(times, 99), cpu=0.0))
            context.budget.say(
                f"  round {number + 1}: p99 of {len(quiet)} sends {found['quiet'][-1].value:.0f} ms,"
                f" of {len(during)} beside a backup {found['backup'][-1].value:.0f} ms"
            )
        return found

    async def send_until(self, is_over: Callable[[], bool]) -> list[float]:
        """Send one message after the other through Apache; return the time of each in ms."""
        stack = self._stack
        stream = await open_stream(stack.https_port, stack.homeserver, stack.trust())
        times = []
        while not is_over():
            self._number += 1
            body = {"msgtype": "m.text", "body": f"message {self._number}"}
            began = time.perf_counter()
            status, answer = await stream.ask(
                "PUT", f"{self._path}{self._number}", self._token, body
            )
            times.append((time.perf_counter() - began) * 1000)
            if status != 200:
                raise AssertionError(f"a message was answered with {status}: {answer[:300]!r}")
            await asyncio.sleep(PAUSE)
        stream.abort()
        return times


@contextmanager
def computing() -> Iterator[None]:
    """Keep one processor busy, as any backup does at least."""
    with subprocess.Popen(COMPUTING) as process:
        try:
            yield
        finally:
            process.kill()


def ends_after(seconds: float) -> Callable[[], bool]:
    """Return what says whether so many seconds have passed."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def compare(found: dict[str, list[Sample]]) -> list[Figure]:
    """Return the ratio of each pair."""
    during, beside, quiet = (
        Contender(label=label, unit="ms", samples=tuple(found[name]))
        for name, label in (
            ("backup", "during a set"),
            ("computing", "beside a process of the lowest priority that only computes"),
            ("quiet", "without"),
        )
    )
    return [
        Figure(row="10", what="p99 of sent messages during a first set / without",
               values=divide(during, quiet), goal=Goal(bound=1.5), contenders=(during, quiet)),
        Figure(row="10", what="the same beside a process that only computes / without",
               values=divide(beside, quiet), contenders=(beside, quiet)),
    ]  # fmt: skip
