"""Row 5: how many long polls are held while others are still answered at once, and what one costs."""

from __future__ import annotations

import asyncio
import functools
import resource
import ssl
import time
from typing import Final

from tests.bench.figures import Figure, Goal, Level, take_percentile
from tests.bench.memory import read_pss
from tests.bench.poll_clients import Crowd, probe
from tests.bench.run_context import VERSIONS, RunContext, SignIn
from tests.support.http_stream import open_stream
from tests.support.stacks import Stack

LEVELS: Final = (250, 500, 1000, 1050)
# Milliseconds that 99 of 100 requests for /versions may take beside the polls.
LIMIT: Final = 100
PAUSE: Final = 0.02
NONE: Final = Level(held=0, median=0, p99=0, direct_p99=0, memory=0)
HOLD: Final = 30
# Seconds that Apache has to give memory back after the last poll.
AFTERWARDS: Final = 60
KIB: Final = 1024


def measure(
    context: RunContext, stack: Stack, session: SignIn
) -> tuple[list[Figure], tuple[Level, ...]]:
    """Let a crowd of clients poll, and watch /versions beside it."""
    allow_connections()
    levels = asyncio.run(climb(context, stack, session))
    time.sleep(AFTERWARDS)
    if not levels:
        raise AssertionError(f"/versions was not answered beside {LEVELS[0]} polls")
    top = max((level for level in levels if level.p99 < LIMIT), key=count, default=NONE)
    most = max(levels, key=count)
    left = read_pss({"apache": stack.container("apache")})["apache"] / KIB
    note = f"up to {most.held} tried; {write_note(top if top.held else levels[0])}"
    return [
        Figure(row="5a", what="long polls of 30 s held, `/versions` p99 < 100 ms",
               values=(float(top.held),), unit="polls", goal=Goal(bound=1000, at_least=True), note=note),
        Figure(row="5b", what="Apache's memory for one held poll", values=(most.memory,),
               unit="KiB", note=f"PSS at {most.held} polls less PSS at rest"),
        Figure(row="5c", what="Apache after a burst of polls, PSS", values=(left,), unit="MiB",
               goal=Goal(bound=30), note=f"{AFTERWARDS} s after {most.held} polls have ended"),
    ], levels  # fmt: skip


def allow_connections() -> None:
    """Let this process open as many connections as there will be polls, and some more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, 4 * max(LEVELS))
    wanted = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def climb(context: RunContext, stack: Stack, session: SignIn) -> tuple[Level, ...]:
    """Measure at one number of polls after the other, as far as all are held."""
    trust = stack.trust()
    connect = functools.partial(open_stream, stack.https_port, stack.homeserver, trust)
    path = f"/_matrix/client/v3/sync?timeout={HOLD * 1000}&since={session.since}"
    crowd = Crowd(connect=connect, path=path, token=session.token)
    levels = [await observe(stack, crowd, trust, seconds=5, rest=0.0)]
    rest = levels[0].memory
    try:
        for number in LEVELS[:2] if context.quick else LEVELS:
            await crowd.grow(number)
            seconds = HOLD if number >= 1000 and not context.quick else 10
            levels.append(await observe(stack, crowd, trust, seconds=seconds, rest=rest))
            context.budget.say(f"  {describe(levels[-1])}, {len(crowd.failures)} polls failed")
            if crowd.failures or levels[-1].held < number * 0.99:
                break
    except (OSError, EOFError) as error:
        # A server that breaks down has shown its limit: the level before.
        context.budget.say(
            f"  /versions is no longer answered beside {crowd.waiting} polls: {error}"
        )
    finally:
        await crowd.leave()
    return tuple(levels[1:])


async def observe(
    stack: Stack, crowd: Crowd, trust: ssl.SSLContext, *, seconds: float, rest: float
) -> Level:
    """Time /versions through Apache and direct, side by side; then weigh Apache.

    `rest` is Apache's memory without polls, in KiB; without it the level has that memory.
    """
    await asyncio.sleep(1)
    through, direct = await asyncio.gather(
        open_stream(stack.https_port, stack.homeserver, trust),
        open_stream(stack.synapse_port, stack.homeserver, None),
    )
    # One after the other would be another second: a busy Synapse would count for one of them only.
    times = await asyncio.gather(
        probe(through, VERSIONS, seconds=seconds, pause=PAUSE),
        probe(direct, VERSIONS, seconds=seconds, pause=PAUSE),
    )
    held = crowd.waiting
    weight = await asyncio.to_thread(read_pss, {"apache": stack.container("apache")})
    through.abort()
    direct.abort()
    return Level(
        held=held,
        median=take_percentile(times[0], 50),
        p99=take_percentile(times[0], 99),
        direct_p99=take_percentile(times[1], 99),
        memory=(weight["apache"] - rest) / max(held, 1),
    )


def count(level: Level) -> int:
    """Return the number of polls."""
    return level.held


def write_note(level: Level) -> str:
    """Return both times of a level, for the note."""
    return (
        f"at {level.held} the p99 of /versions was {level.p99:.0f} ms,"
        f" of Synapse alone beside them {level.direct_p99:.0f} ms"
    )


def describe(level: Level) -> str:
    """Return one line on a level."""
    return (
        f"{level.held} polls: /versions median {level.median:.1f} ms, p99 {level.p99:.1f} ms"
        f" (direct {level.direct_p99:.1f} ms), {level.memory:.1f} KiB each"
    )
