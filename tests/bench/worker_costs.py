"""Row 12: Synapse's workers: what choosing one costs Apache, and whether more messages can be sent.

A bundle with `workers: small` runs beside the one without; their rounds alternate.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from tests.bench.chat_clients import ChatClient, chat_at_once
from tests.bench.cpu_usage import count_cpu, list_containers
from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.rounds import Measure, interleave
from tests.bench.run_context import VERSIONS, RunContext
from tests.bench.throughput import LoadGenerator, ProxyRoute, burst, start_load
from tests.stack.accounts import register
from tests.support.matrix import CLIENT, escape
from tests.support.stacks import Stack, generate

# A worker's, and the main process's own, which is compared with every pattern of clients' paths.
TARGETS: Final = {
    VERSIONS: "a worker answers",
    f"{CLIENT}/thirdparty/protocols": "no worker answers",
}
USERS: Final = 26
MICROSECONDS: Final = 1000
MILLISECONDS: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two bundles, the load generator in its network, and the clients of its users."""

    stack: Stack
    load: LoadGenerator
    clients: tuple[ChatClient, ...]

    def request(self, target: str, *, seconds: int) -> Sample:
        """Return requests/s of one address, and Apache's CPU-seconds for 1000 of them."""
        route = ProxyRoute(
            url=f"https://apache:443{target}", containers=(self.stack.container("apache"),)
        )
        authorization = f"--header=Authorization: Bearer {self.clients[0].token}"
        return burst(self.load, route, authorization, seconds=seconds)

    def chat(self, *, seconds: int, syncing: bool) -> Sample:
        """Return messages/s of all users, and the CPU-ms for each of that process of Synapse which uses most."""
        found = list_containers(self.stack.project)
        processes = [found[name] for name in found if name.startswith("synapse")]
        began, before = time.monotonic(), [count_cpu([process]) for process in processes]
        sent = asyncio.run(chat_at_once(self.clients, seconds=seconds, syncing=syncing))
        wall = time.monotonic() - began
        used = [count_cpu([p]) - cpu for p, cpu in zip(processes, before, strict=True)]
        return Sample(value=sent / wall, cpu=max(used) / sent * MILLISECONDS)


def measure(context: RunContext, stack: Stack) -> list[Figure]:
    """Ask both bundles in turn for the same; then let the same number of users send in each."""
    seconds = 2 if context.quick else 5
    with ExitStack() as cleaning:
        context.budget.say("  starting a bundle with workers")
        small = generate(context.folder / "small", "bench-small", "workers: small\n")
        cleaning.callback(small.down)
        small.up()
        sides = {
            "none": cleaning.enter_context(open_side(stack)),
            "small": cleaning.enter_context(open_side(small)),
        }
        figures = []
        for target, note in TARGETS.items():
            asking = {
                name: functools.partial(side.request, target, seconds=seconds)
                for name, side in sides.items()
            }
            figures.append(weigh_routing(target, note, alternate(context, asking)))
        for syncing in (True, False):
            chatting = {
                name: functools.partial(side.chat, seconds=seconds, syncing=syncing)
                for name, side in sides.items()
            }
            figures += compare_chats(alternate(context, chatting), syncing=syncing)
        return figures


@contextmanager
def open_side(stack: Stack) -> Iterator[Side]:
    """Start the load generator in a bundle's network, and make the accounts."""
    with start_load(f"{stack.project}_web") as container:
        load = LoadGenerator(container=container, host=stack.homeserver)
        yield Side(stack=stack, load=load, clients=tuple(make_client(stack) for _ in range(USERS)))


def make_client(stack: Stack) -> ChatClient:
    """Make an account that no rate limit holds back, and its room."""
    person = register(stack, admin=True)
    path = f"/_synapse/admin/v1/users/{escape(person.user_id)}/override_ratelimit"
    freed = stack.ask_synapse("POST", path, body={"messages_per_second": 0}, token=person.token)
    assert freed.status == 200, freed.body
    room = f"{CLIENT}/rooms/{escape(person.create_room())}"
    return ChatClient(stack=stack, token=person.token, room=room)


def alternate(context: RunContext, runs: Mapping[str, Measure]) -> dict[str, tuple[Sample, ...]]:
    """Let both sides do the same in turn, after a burst that fills caches."""
    for run in runs.values():
        run()
    return interleave(runs, rounds=context.rounds, budget=context.budget)


def weigh_routing(target: str, note: str, found: Mapping[str, tuple[Sample, ...]]) -> Figure:
    """Return how much more of the processor Apache uses for a request, in microseconds."""
    pairs = zip(found["small"], found["none"], strict=True)
    return Figure(
        row="12a",
        what=f"processor time that the routing table costs Apache for `{target}`",
        values=tuple((small.cpu - none.cpu) * MICROSECONDS for small, none in pairs),
        unit="us",
        goal=Goal(bound=30),
        contenders=name_sides(found, "requests/s", "Apache's CPU s/1000"),
        note=note,
    )


def compare_chats(found: Mapping[str, tuple[Sample, ...]], *, syncing: bool) -> Iterator[Figure]:
    """Yield the ratio of what the users of both could send here, and with a processor for each process."""
    small, none = name_sides(found, "messages/s", "ms of the busiest process for each")
    row = "12b" if syncing else "12c"
    who = (
        f"{USERS} clients, which also sync" if syncing else f"{USERS} clients that do nothing else"
    )
    yield Figure(
        row=row,
        what=f"messages/s of {who}, `workers: small` / `none`",
        values=divide(small, none),
        goal=Goal(bound=1, at_least=True) if syncing else None,
        contenders=(small, none),
        note="the clients, both databases and all processes on the same processors",
    )
    pairs = zip(small.samples, none.samples, strict=True)
    yield Figure(
        row=row,
        what="the same with a processor for each process, by the time that the busiest needs for a message",
        values=tuple(without.cpu / beside.cpu for beside, without in pairs),
        goal=Goal(bound=1, at_least=True) if syncing else None,
        note="a model: what one process cannot do faster limits them all",
    )


def name_sides(
    found: Mapping[str, tuple[Sample, ...]], unit: str, cpu_unit: str
) -> tuple[Contender, Contender]:
    """Return both sides, the one with workers first."""
    small, none = (
        Contender(label=name, unit=unit, samples=found[name], cpu_unit=cpu_unit)
        for name in ("small", "none")
    )
    return small, none
