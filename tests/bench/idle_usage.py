"""Rows 6 and 7: memory and processor of a server at rest after the first sign-in."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.bench.cpu_usage import count_cpu, list_containers
from tests.bench.default_stack import DefaultStack
from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.memory import read_pss
from tests.bench.run_context import RunContext, SignIn
from tests.support.stacks import Stack

ROUNDS: Final = 7
KIB: Final = 1024
HELPER: Final = "helper"
# Seconds in which a first sign-in and a start are digested; idleness is measured from then on.
SETTLING: Final = 60
GOALS: Final = {HELPER: Goal(bound=14), "apache": Goal(bound=20)}


@dataclass(kw_only=True)
class IdleServers:
    """Two servers that are idle since their first sign-ins, measured after enough rest."""

    context: RunContext
    ours: Stack
    plain: DefaultStack
    sessions: tuple[SignIn, SignIn]
    seconds: float
    ages: list[float] = field(default_factory=list)
    found: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)
    # CPU-seconds of each of our services when the idleness began, and when that was.
    began: tuple[float, Mapping[str, float]] | None = None
    idle: tuple[float, Mapping[str, float]] | None = None

    @property
    def age(self) -> float:
        """Seconds since the later of the sign-ins."""
        return time.monotonic() - max(session.at for session in self.sessions)

    def weigh_when_due(self) -> None:
        """Measure both once they have rested; anything else that runs has to stop for that moment."""
        if self.began is None and self.age >= SETTLING:
            self.began = self._read_cpu()
        if self.found or self.began is None or self.age < self.seconds:
            return
        self.idle = self._read_cpu()
        self.ages.append(self.age)
        sides = {"ours": self.ours.project, "defaults": self.plain.project}
        self.found = {name: [] for name in sides}
        for number in range(ROUNDS):
            for name in list(sides)[:: -1 if number % 2 else 1]:
                self.found[name].append(read_pss(list_containers(sides[name])))
        self.context.budget.say(f"  weighed both after {self.age:.0f} s of rest")

    def measure(self) -> list[Figure]:
        """Return the memory of both as ratios, waiting for what is left of the rest."""
        self._await_weighing()
        return compare(self.found, self.ages[0])

    def measure_idleness(self) -> list[Figure]:
        """Return the processor that ours used meanwhile, waiting for what is left of the rest."""
        self._await_weighing()
        assert self.began
        assert self.idle
        return [describe_idleness(self.began, self.idle)]

    def _await_weighing(self) -> None:
        while not self.found:
            time.sleep(max(0.5, min(5.0, self.seconds - self.age)))
            self.weigh_when_due()

    def _read_cpu(self) -> tuple[float, Mapping[str, float]]:
        containers = list_containers(self.ours.project)
        used = {name: count_cpu([container]) for name, container in containers.items()}
        return time.monotonic(), used


def compare(found: Mapping[str, list[Mapping[str, float]]], age: float) -> list[Figure]:
    """Return the ratio with our helper counted, and what helper and Apache use."""
    parts = {name: describe(weights[len(weights) // 2]) for name, weights in found.items()}
    note = f"{age / 60:.1f} min after sign-in; ours: {parts['ours']}; defaults: {parts['defaults']}"
    sides = [
        Contender(label=name, unit="MiB", samples=tuple(add(weight) for weight in weights))
        for name, weights in found.items()
    ]
    whole = Figure(
        row="6a",
        what="memory at rest / same images on their defaults (helper counted)",
        values=divide(*sides),
        goal=Goal(bound=1.05),
        contenders=tuple(sides),
        note=note,
    )
    return [whole, *(weigh_service(found["ours"], name, goal) for name, goal in GOALS.items())]


def weigh_service(weights: list[Mapping[str, float]], name: str, goal: Goal) -> Figure:
    """Return the memory of one of our services at rest."""
    return Figure(
        row="6b",
        what=f"{name} at rest, PSS",
        values=tuple(weight[name] / KIB for weight in weights),
        unit="MiB",
        goal=goal,
    )


def describe_idleness(
    began: tuple[float, Mapping[str, float]], ended: tuple[float, Mapping[str, float]]
) -> Figure:
    """Return the processor that all services used meanwhile, health checks included."""
    seconds = ended[0] - began[0]
    shares = {name: (ended[1][name] - used) / seconds * 100 for name, used in began[1].items()}
    parts = ", ".join(f"{name} {share:.2f}" for name, share in sorted(shares.items()))
    return Figure(
        row="7",
        what="processor of an idle bundle, all services",
        values=(sum(shares.values()),),
        unit="% of a core",
        goal=Goal(bound=1.2),
        note=f"over {seconds / 60:.1f} min; {parts}",
    )


def add(weights: Mapping[str, float]) -> Sample:
    """Return the sum in MiB; what a server at rest uses of the processor is row 7."""
    return Sample(value=sum(weights.values()) / KIB, cpu=0.0)


def describe(weights: Mapping[str, float]) -> str:
    """Return each service's MiB."""
    return ", ".join(f"{name} {kib / KIB:.0f}" for name, kib in sorted(weights.items()))
