"""Row 12: Synapse's workers: what choosing one costs Apache, and whether more messages can be sent.

A bundle with `workers: small` runs beside the one without; their rounds alternate.
"""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.rounds import Measure, interleave
from tests.bench.run_context import VERSIONS, RunContext
from tests.bench.throughput import LoadGenerator, ProxyRoute, burst, find, start_load
from tests.stack.accounts import register
from tests.support.engine import docker
from tests.support.matrix import CLIENT, escape
from tests.support.stacks import Stack, generate

# A worker's, and the main process's own, which is compared with every pattern of clients' paths.
TARGETS: Final = {
    VERSIONS: "a worker answers",
    f"{CLIENT}/thirdparty/protocols": "no worker answers",
}
USERS: Final = 26
SENDING: Final = "/tmp/send.lua"  # noqa: S108  # in the load generator's container
MICROSECONDS: Final = 1000
# Every request is one user's next message into a room of their own.
SCRIPT: Final = """\
local users = {%s}
local sent = 0
request = function()
  sent = sent + 1
  local user = users[sent %% #users + 1]
  local headers = {["Authorization"] = "Bearer " .. user[1], ["Content-Type"] = "application/json"}
  local path = user[2] .. "/send/m.room.message/%s-" .. sent
  return wrk.format("PUT", path, headers, '{"msgtype": "m.text", "body": "a message"}')
end
"""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two bundles, the load generator in its network, and who sends there."""

    stack: Stack
    load: LoadGenerator
    senders: tuple[tuple[str, str], ...]

    def request(self, target: str, *, seconds: int) -> Sample:
        """Return requests/s of one address, and Apache's CPU-seconds for 1000 of them."""
        route = ProxyRoute(
            url=f"https://apache:443{target}", containers=(self.stack.container("apache"),)
        )
        (token, _), *_ = self.senders
        return burst(self.load, route, f"--header=Authorization: Bearer {token}", seconds=seconds)

    def send(self, *, seconds: int) -> Sample:
        """Return acknowledged messages/s of all users at once."""
        pairs = (f"{{{json.dumps(token)}, {json.dumps(room)}}}" for token, room in self.senders)
        script = SCRIPT % (", ".join(pairs), secrets.token_hex(4))
        docker("exec", self.load.container, "sh", "-c", f'printf %s "$0" >{SENDING}', script)
        door = ProxyRoute(url="https://apache:443", containers=())
        output = self.load.ask(door, f"--script={SENDING}", connections=USERS, seconds=seconds)
        return Sample(value=float(find(r"Requests/sec:\s+([\d.]+)", output)[0]), cpu=0.0)


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
        sending = {
            name: functools.partial(side.send, seconds=seconds) for name, side in sides.items()
        }
        return [*figures, compare_sending(alternate(context, sending))]


@contextmanager
def open_side(stack: Stack) -> Iterator[Side]:
    """Start the load generator in a bundle's network, and make the accounts."""
    with start_load(f"{stack.project}_web") as container:
        load = LoadGenerator(container=container, host=stack.homeserver)
        senders = tuple(make_sender(stack) for _ in range(USERS))
        yield Side(stack=stack, load=load, senders=senders)


def make_sender(stack: Stack) -> tuple[str, str]:
    """Make an account that no rate limit holds back; return its token and its room's path."""
    person = register(stack, admin=True)
    path = f"/_synapse/admin/v1/users/{escape(person.user_id)}/override_ratelimit"
    freed = stack.ask_synapse("POST", path, body={"messages_per_second": 0}, token=person.token)
    assert freed.status == 200, freed.body
    return person.token, f"{CLIENT}/rooms/{escape(person.create_room())}"


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


def compare_sending(found: Mapping[str, tuple[Sample, ...]]) -> Figure:
    """Return the ratio of what the users of both could send."""
    small, none = name_sides(found, "messages/s", "")
    return Figure(
        row="12b",
        what=f"messages/s of {USERS} users, `workers: small` / `none`",
        values=divide(small, none),
        contenders=(small, none),
        note="the load generator, both databases and all processes on the same processors",
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
