"""Row 4: what Apache costs a request, beside the rivals in front of the same Synapse.

The load comes from inside the bundle's network, from where cloudflared is: no request passes the
engine's proxy for published ports.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

from tests.bench.cpu_usage import count_cpu
from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.rounds import interleave
from tests.bench.run_context import VERSIONS, RunContext, build_rival, start_rival
from tests.support.engine import docker, try_docker
from tests.support.stacks import Stack

CONNECTIONS: Final = 16
NAMES: Final = {
    "apache": "our Apache",
    "direct": "Synapse alone",
    "recipe": "the recipe's virtual host on Debian's apache2",
    "nginx": "Debian's nginx",
    "caddy": "Debian's Caddy",
    "haproxy": "Debian's HAProxy",
}
# Which image is which contender; each is configured as its users do.
RIVALS: Final = {"recipe": "apache", "nginx": "nginx", "caddy": "caddy", "haproxy": "haproxy"}
GOALS: Final = ("nginx", "caddy", "haproxy")
MILLISECONDS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True, kw_only=True)
class ProxyRoute:
    """One route to Synapse: its address in the network, and the containers that serve it."""

    url: str
    containers: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LoadGenerator:
    """Where `wrk` runs, and the host name that it asks for."""

    container: str
    host: str

    def ask(self, route: ProxyRoute, *options: str, connections: int, seconds: int) -> str:
        """Request one route as fast as it answers; return what `wrk` printed."""
        output = docker("exec", self.container, "wrk", "--threads=1", "--latency",
                    f"--connections={connections}", f"--duration={seconds}s", "--timeout=10s",
                    f"--header=Host: {self.host}", *options, route.url)  # fmt: skip
        if "Non-2xx" in output or "Socket errors" in output:
            raise AssertionError(f"{route.url} was not answered cleanly:\n{output}")
        return output


def measure(context: RunContext, stack: Stack) -> list[Figure]:
    """Ask for /versions as fast as it comes, by every route in turn; then one request at a time."""
    seconds = 2 if context.quick else 5
    network = f"{stack.project}_web"
    with ExitStack() as rivals:
        load = LoadGenerator(
            container=rivals.enter_context(start_load(network)), host=stack.homeserver
        )
        synapse = stack.container("synapse")
        routes = {
            "apache": describe_route("https://apache:443", synapse, stack.container("apache")),
            "direct": describe_route("http://synapse:8008", synapse),
        }
        for name, image in RIVALS.items():
            proxy = rivals.enter_context(start_rival(image, network))
            routes[name] = describe_route(f"https://{proxy}:443", synapse, proxy)
        figures = compare(load_all(context, load, routes, seconds))
        pair = {name: routes[name] for name in ("apache", "direct")}
        return [*figures, compare_latency(time_each(context, load, pair, seconds))]


def describe_route(base: str, *containers: str) -> ProxyRoute:
    """Return the route through `base` to /versions."""
    return ProxyRoute(url=f"{base}{VERSIONS}", containers=containers)


@contextmanager
def start_load(network: str) -> Iterator[str]:
    """Run an idle container with `wrk` in a network; yield its name."""
    container = f"bench-wrk-{network}"
    docker("run", "--detach", "--rm", "--init", "--name", container,
         "--network", network, build_rival("wrk"))  # fmt: skip
    try:
        yield container
    finally:
        try_docker("rm", "--force", container)


def load_all(
    context: RunContext, load: LoadGenerator, routes: Mapping[str, ProxyRoute], seconds: int
) -> dict[str, tuple[Sample, ...]]:
    """Return requests/s of each route, after a burst that starts threads and fills caches."""
    for route in routes.values():
        load.ask(route, connections=CONNECTIONS, seconds=seconds)
    runs = {
        name: functools.partial(burst, load, route, seconds=seconds)
        for name, route in routes.items()
    }
    return interleave(runs, rounds=context.rounds, budget=context.budget)


def time_each(
    context: RunContext, load: LoadGenerator, routes: Mapping[str, ProxyRoute], seconds: int
) -> dict[str, tuple[Sample, ...]]:
    """Return the median time of a request on a single connection, in ms, of each route."""
    runs = {
        name: functools.partial(time_one, load, route, seconds=seconds)
        for name, route in routes.items()
    }
    return interleave(runs, rounds=context.rounds, budget=context.budget)


def burst(load: LoadGenerator, route: ProxyRoute, *options: str, seconds: int) -> Sample:
    """Return requests/s, and the containers' CPU-seconds for 1000 requests."""
    before = count_cpu(route.containers)
    output = load.ask(route, *options, connections=CONNECTIONS, seconds=seconds)
    used = count_cpu(route.containers) - before
    count = int(find(r"(\d+) requests in", output)[0])
    return Sample(
        value=float(find(r"Requests/sec:\s+([\d.]+)", output)[0]), cpu=used / count * 1000
    )


def time_one(load: LoadGenerator, route: ProxyRoute, *, seconds: int) -> Sample:
    """Return the median time of a request in ms."""
    output = load.ask(route, connections=1, seconds=seconds)
    value, unit = find(r"50%\s+([\d.]+)(us|ms|s)", output)
    return Sample(value=float(value) * MILLISECONDS[unit], cpu=0.0)


def compare(found: Mapping[str, tuple[Sample, ...]]) -> list[Figure]:
    """Return our Apache's ratio to every other route."""
    sides = {
        name: Contender(
            label=NAMES[name], unit="requests/s", samples=samples, cpu_unit="CPU s/1000"
        )
        for name, samples in found.items()
    }
    return [
        Figure(
            row="4a",
            what=f"`/versions` requests/s through our Apache / {NAMES[name]}",
            values=divide(sides["apache"], sides[name]),
            goal=Goal(bound=1.0, at_least=True) if name in GOALS else None,
            contenders=(sides["apache"], sides[name]),
        )
        for name in sides
        if name != "apache"
    ]


def compare_latency(found: Mapping[str, tuple[Sample, ...]]) -> Figure:
    """Return what Apache adds to the median time of a request on a single connection."""
    sides = {
        name: Contender(label=NAMES[name], unit="ms", samples=samples)
        for name, samples in found.items()
    }
    pairs = zip(sides["apache"].samples, sides["direct"].samples, strict=True)
    return Figure(
        row="4b",
        what="time that our Apache adds to a request, one connection",
        values=tuple(ours.value - direct.value for ours, direct in pairs),
        unit="ms",
        goal=Goal(bound=0.4),
        contenders=tuple(sides.values()),
    )


def find(pattern: str, text: str) -> tuple[str, ...]:
    """Return the groups of a pattern that must be there."""
    match = re.search(pattern, text)
    if not match:
        raise AssertionError(f"wrk said nothing of {pattern}:\n{text}")
    return match.groups()
