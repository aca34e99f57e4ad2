"""Row 13: the same bundle from empty volumes to a green check, in a cluster and on one machine."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.rounds import interleave
from tests.bench.run_context import RunContext
from tests.bench.startup import LATER
from tests.cluster.household import SETTINGS, Household
from tests.cluster.shared_cluster import run_cluster
from tests.lab.steps import LabError
from tests.support import kubernetes
from tests.support.stacks import Stack, generate
from tests.support.waiting import wait_for

ROUNDS: Final = 3
CHECK: Final = ("bundle-helper", "check", "--inside")


@contextmanager
def open_household(context: RunContext, name: str, settings: str) -> Iterator[Household]:
    """Have a bundle converted and its images in the node, of a folder that knows of no data yet.

    Raises AssertionError where no cluster can be had.
    """
    if fault := kubernetes.find_fault():
        raise AssertionError(fault)
    with ExitStack() as cleaning:
        try:
            cluster = cleaning.enter_context(run_cluster())
        except LabError as error:
            raise AssertionError(str(error)) from error
        stack = generate(context.folder / name, f"bench-{name}", settings, tunnel=True)
        cleaning.callback(stack.down)
        home = Household(stack=stack, cluster=cluster.enter(stack.project))
        stack.build()
        home.convert()
        home.load()
        yield home


def measure(context: RunContext) -> list[Figure]:
    """Start both in turn; the images are built, and in the node, before."""
    with open_household(context, "cluster", SETTINGS) as home:
        runs = {
            "cluster": functools.partial(start_in_cluster, home),
            "compose": functools.partial(start_in_compose, home.stack),
        }
        rounds = min(context.rounds, ROUNDS) if not context.quick else 1
        found = interleave(runs, rounds=rounds, budget=context.budget, leave=LATER)
    sides = {n: Contender(label=n, unit="s", samples=samples) for n, samples in found.items()}
    return [
        Figure(
            row="13",
            what="empty volumes to a green check: in a cluster / the same bundle in Compose",
            values=divide(sides["cluster"], sides["compose"]),
            goal=Goal(bound=3.0),
            contenders=tuple(sides.values()),
            note="one node of Kubernetes 1.20, its control plane on the same processors",
        )
    ]


def start_in_cluster(home: Household) -> Sample:
    """Apply the manifests and wait for a green check; leave nothing."""
    began = time.perf_counter()
    try:
        home.apply()
        wait_for(
            lambda: home.ask_helper(*CHECK).returncode == 0, "the check in the cluster is green"
        )
        return Sample(value=time.perf_counter() - began, cpu=0)
    finally:
        home.cluster.kubectl("delete", "namespace", home.cluster.namespace)


def start_in_compose(stack: Stack) -> Sample:
    """Start the bundle and wait for a green check; leave nothing."""
    # A folder that knows of data refuses empty volumes.
    (stack.directory / "secrets" / "instance").write_text("\n", encoding="utf-8")
    began = time.perf_counter()
    try:
        stack.up()
        wait_for(lambda: stack.check().returncode == 0, "the check is green")
        return Sample(value=time.perf_counter() - began, cpu=0)
    finally:
        stack.down()
