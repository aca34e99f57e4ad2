"""Row 15: how long an update keeps clients waiting, of Synapse and of Apache."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Final

from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.rounds import interleave
from tests.bench.run_context import VERSIONS, RunContext
from tests.stack.updatable import Updatable, open_updatable
from tests.support.engine import docker
from tests.support.processes import run
from tests.support.stacks import Stack, change_source
from tests.support.waiting import wait_for

ROUNDS: Final = 3
# Seconds between two requests, each on a connection of its own.
PAUSE: Final = 0.05
AT_ONCE: Final = 40


@dataclass(kw_only=True)
class Visitor:
    """Asks Apache for /versions all the while, and notes when it was answered.

    A question does not wait for the one before: a connection to a container that is just going stays
    unanswered for a second, in which others are answered.
    """

    stack: Stack
    answered: list[float] = field(default_factory=list)
    refused: int = 0
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def longest_gap(self) -> float:
        """The longest time from an answer to the next, in seconds."""
        answered = sorted(self.answered)
        return max(b - a for a, b in itertools.pairwise(answered))

    def ask(self) -> None:
        """Ask once."""
        try:
            answer = self.stack.ask("GET", VERSIONS)
        except (OSError, HTTPException):
            self.refused += 1
            return
        if answer.status == 200:
            self.answered.append(time.perf_counter())
        else:
            self.refused += 1

    @contextmanager
    def visit(self) -> Iterator[None]:
        """Ask for as long as this lasts."""
        thread = threading.Thread(target=self._work)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            self.ask()

    def _work(self) -> None:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            while not self._ended.wait(PAUSE):
                pool.submit(self.ask)


@dataclass(kw_only=True)
class UpdateRounds:
    """One server that is updated again and again."""

    server: Updatable
    number: int = 0

    def update_synapse(self) -> Sample:
        """Update to an image that differs in nothing but its id; the time without an answer."""
        self.number += 1
        self.server.release(self.number, f"RUN touch /{self.number}\n")
        visitor = Visitor(stack=self.server.stack)
        with visitor.visit():
            self.server.update(0, "--without-set")
        return Sample(value=visitor.longest_gap, cpu=0)

    def start_synapse(self) -> Sample:
        """Start Synapse that was stopped; the time until it answers through Apache."""
        container = self.server.stack.container("synapse")
        docker("stop", container)
        visitor = Visitor(stack=self.server.stack)
        began = time.perf_counter()
        docker("start", container)
        with visitor.visit():
            wait_for(lambda: visitor.answered, "Synapse answers")
        return Sample(value=min(visitor.answered) - began, cpu=0)

    def update_apache(self) -> tuple[float, float]:
        """Update to a new image of Apache; the time without an answer, and the refused requests."""
        change_source(self.server.checkout / "images" / "apache" / "healthcheck")
        self._build_apache()
        visitor = Visitor(stack=self.server.stack)
        with visitor.visit():
            self.server.update(0, "--without-set")
        return visitor.longest_gap, float(visitor.refused)

    def _build_apache(self) -> None:
        """Build the image that the next update names, in a bundle that is never started."""
        source = self.server.checkout
        other = source / "bundle"
        environment = {"PYTHONPATH": str(source / "generator")}
        files = ["--settings", str(self.server.stack.settings), "--output", str(other)]
        run([sys.executable, "-m", "synapse_bundle", "generate", *files], environment=environment)
        run(["docker", "compose", "build", "--quiet", "apache"], cwd=other)


def measure(context: RunContext) -> Iterator[Figure]:
    """Update Synapse and start it in turn; then update Apache."""
    rounds = min(ROUNDS, context.rounds)
    with open_updatable(context.folder / "updates", "bench-updates") as server:
        server.stack.build("--profile", "tools")
        server.stack.up()
        updates = UpdateRounds(server=server)
        found = interleave(
            {"update": updates.update_synapse, "start": updates.start_synapse},
            rounds=rounds,
            budget=context.budget,
        )
        yield compare_downtime(found)
        apache = [updates.update_apache() for _ in range(rounds)]
    yield Figure(
        row="15b",
        what="time without an answer while Apache is replaced by an update",
        values=tuple(gap for gap, _ in apache),
        unit="s",
        goal=Goal(bound=2.0),
        note=f"refused requests of {1 / PAUSE:.0f} a second: {', '.join(f'{n:.0f}' for _, n in apache)}",
    )


def compare_downtime(found: dict[str, tuple[Sample, ...]]) -> Figure:
    """Return how much longer an update keeps clients waiting than Synapse takes to start."""
    update, start = (
        Contender(label=label, unit="s", samples=found[name])
        for name, label in (("update", "without an answer"), ("start", "Synapse's own start"))
    )
    return Figure(
        row="15a",
        what="time without an answer during an update of Synapse / its own start",
        values=divide(update, start),
        goal=Goal(bound=1.3),
        contenders=(update, start),
    )
