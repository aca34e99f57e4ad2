"""Row 4: what Apache costs a request, beside the rivals in front of the same Synapse."""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final

from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.processes import count_cpu
from tests.bench.rounds import interleave
from tests.bench.scene import VERSIONS, Scene, start_rival
from tests.stack.stacks import Stack, run

CONNECTIONS: Final = 16
GOAL: Final = Goal(bound=0.9, at_least=True)
NAMES: Final = {
    "apache": "ours",
    "direct": "Synapse alone",
    "seed": "the seed's virtual host on Debian's apache2",
    "nginx": "Debian's nginx",
}


def find_fault() -> str:
    """Return what is missing for this row, or nothing."""
    return "" if shutil.which("wrk") else "wrk is not installed; on Debian: apt install wrk"


def measure(scene: Scene, stack: Stack) -> list[Figure]:
    """Ask for /versions as fast as it comes, by every way in turn."""
    synapse, seconds = stack.container("synapse"), 2 if scene.quick else 5
    with ExitStack() as rivals:
        ways = {
            "apache": (stack.https_port, (synapse, stack.container("apache"))),
            "direct": (stack.synapse_port, (synapse,)),
        }
        for name, image in (("seed", "apache"), ("nginx", "nginx")):
            proxy, port = rivals.enter_context(start_rival(image, f"{stack.project}_web"))
            ways[name] = (port, (synapse, proxy))
        runs = {
            name: functools.partial(burst, make_url(name, port), stack.homeserver, seconds, used)
            for name, (port, used) in ways.items()
        }
        warm_up(runs)
        found = interleave(runs, rounds=scene.rounds, budget=scene.budget)
    return compare(found)


def make_url(way: str, port: int) -> str:
    """Return the address by one way."""
    return f"{'http' if way == 'direct' else 'https'}://127.0.0.1:{port}{VERSIONS}"


def warm_up(runs: Mapping[str, Callable[[], Sample]]) -> None:
    """Run everything once unmeasured: the first requests start threads and fill caches."""
    for warm in runs.values():
        warm()


def compare(found: dict[str, tuple[Sample, ...]]) -> list[Figure]:
    """Return the ratio to Synapse alone for each way that leads through a proxy."""
    unit = "requests/s"
    sides = {
        name: Contender(label=NAMES[name], unit=unit, samples=samples, cpu_unit="CPU s/1000")
        for name, samples in found.items()
    }
    return [
        Figure(
            row=row,
            what=f"`/versions` requests/s through {what} / direct",
            values=divide(sides[name], sides["direct"]),
            goal=GOAL if name == "apache" else None,
            contenders=(sides[name], sides["direct"]),
        )
        for row, name, what in (
            ("4", "apache", "our Apache"),
            ("4 rival", "seed", NAMES["seed"]),
            ("4 rival", "nginx", NAMES["nginx"]),
        )
    ]


def burst(url: str, host: str, seconds: int, containers: tuple[str, ...]) -> Sample:
    """Return requests/s, and the containers' CPU-seconds for 1000 requests."""
    before = count_cpu(containers)
    told = run(["wrk", "--threads=1", f"--connections={CONNECTIONS}", f"--duration={seconds}s",
                "--timeout=10s", "--latency", f"--header=Host: {host}", url]).stdout  # fmt: skip
    used = count_cpu(containers) - before
    if "Non-2xx" in told or "Socket errors" in told:
        raise AssertionError(f"{url} was not answered cleanly:\n{told}")
    count = int(find(r"(\d+) requests in", told))
    return Sample(value=float(find(r"Requests/sec:\s+([\d.]+)", told)), cpu=used / count * 1000)


def find(pattern: str, text: str) -> str:
    """Return the first group of a pattern that must be there."""
    match = re.search(pattern, text)
    if not match:
        raise AssertionError(f"wrk said nothing of {pattern}:\n{text}")
    return match[1]
