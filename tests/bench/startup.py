"""Row 3: from empty volumes to healthy, against the images' default health checks."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

import yaml

from tests.bench.cpu_usage import count_cpu, list_containers
from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.rounds import interleave
from tests.bench.run_context import RunContext
from tests.support.stacks import Stack, generate


class Replacement(dict[str, Any]):
    """A mapping that replaces what Compose would otherwise merge it with."""


class Reset:
    """Takes away what the bundle says, so that the image's own holds."""


class Dumper(yaml.SafeDumper):
    """Writes Compose's merge tags."""


Dumper.add_representer(Replacement, lambda d, v: d.represent_mapping("!override", v))
Dumper.add_representer(Reset, lambda d, _: d.represent_scalar("!reset", "null"))
# Only Synapse's image brings a health check; the others keep the bundle's test at Docker's timing.
WITH_OWN_CHECK: Final = {"synapse"}
# This is the longest row: seconds that it leaves to those that follow.
LATER: Final = 330


def measure(context: RunContext, between: Callable[[], None]) -> list[Figure]:
    """Start both bundles from nothing, in turn; their images are built already."""
    with ExitStack() as cleaning:
        stacks = {name: prepare(context, name) for name in ("ours", "defaults")}
        for stack in stacks.values():
            cleaning.callback(stack.down)
        relax(stacks["defaults"])
        runs = {name: functools.partial(start, stack) for name, stack in stacks.items()}
        rounds = context.rounds if not context.quick else 1
        found = interleave(runs, rounds=rounds, budget=context.budget, leave=LATER, between=between)
    sides = {n: Contender(label=n, unit="s", samples=samples) for n, samples in found.items()}
    return [
        Figure(
            row="3",
            what="empty volumes to healthy / with the images' default health checks",
            values=divide(sides["ours"], sides["defaults"]),
            goal=Goal(bound=0.6),
            contenders=tuple(sides.values()),
            note="default: Synapse's image every 15 s, the rest at Docker's 30 s",
        )
    ]


def prepare(context: RunContext, name: str) -> Stack:
    """Generate a trial bundle and build its images."""
    stack = generate(context.folder / f"start-{name}", f"start-{name}", "")
    stack.compose("build", "--quiet")
    return stack


def relax(stack: Stack) -> None:
    """Give every service the health check it has by default."""
    model = yaml.safe_load((stack.directory / "compose.yaml").read_text(encoding="utf-8"))
    checks: dict[str, Any] = {
        name: {"healthcheck": choose_check(name, service["healthcheck"])}
        for name, service in model["services"].items()
        if "healthcheck" in service
    }
    text = yaml.dump({"services": checks}, Dumper=Dumper)
    (stack.directory / "compose.override.yaml").write_text(text, encoding="utf-8")


def choose_check(name: str, own: dict[str, Any]) -> Reset | Replacement:
    """Return the image's own check, or the bundle's test with Docker's default timing."""
    return Reset() if name in WITH_OWN_CHECK else Replacement(test=own["test"])


def start(stack: Stack) -> Sample:
    """Start a bundle on empty volumes and wait until it is healthy; leave nothing of it."""
    # A folder that knows of data refuses empty volumes.
    (stack.directory / "secrets" / "instance").write_text("\n", encoding="utf-8")
    began = time.perf_counter()
    try:
        stack.up()
        wall = time.perf_counter() - began
        return Sample(value=wall, cpu=count_cpu(list_containers(stack.project).values()))
    finally:
        stack.down()
