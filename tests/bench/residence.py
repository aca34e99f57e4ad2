"""Row 6: memory at rest after the first sign-in, against the same images on their defaults."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.memory import read_pss
from tests.bench.plain import PlainStack
from tests.bench.processes import list_containers
from tests.bench.scene import Scene, SignIn
from tests.stack.stacks import Stack

ROUNDS: Final = 7
KIB: Final = 1024
HELPER: Final = "helper"


@dataclass(kw_only=True)
class Rest:
    """Two servers that rest since their first sign-ins, to be weighed when they have rested enough."""

    scene: Scene
    ours: Stack
    plain: PlainStack
    sessions: tuple[SignIn, SignIn]
    seconds: float
    ages: list[float] = field(default_factory=list)
    found: dict[str, list[Mapping[str, float]]] = field(default_factory=dict)

    @property
    def age(self) -> float:
        """Seconds since the later of the sign-ins."""
        return time.monotonic() - max(session.at for session in self.sessions)

    def weigh_when_due(self) -> None:
        """Weigh both once they have rested; anything else that runs has to stop for that moment."""
        if self.found or self.age < self.seconds:
            return
        self.ages.append(self.age)
        sides = {"ours": self.ours.project, "defaults": self.plain.project}
        self.found = {name: [] for name in sides}
        for number in range(ROUNDS):
            for name in list(sides)[:: -1 if number % 2 else 1]:
                self.found[name].append(read_pss(list_containers(sides[name])))
        self.scene.budget.say(f"  weighed both after {self.age:.0f} s of rest")

    def measure(self) -> list[Figure]:
        """Return the memory of both as ratios, waiting for what is left of the rest."""
        while not self.found:
            time.sleep(max(0.0, min(5.0, self.seconds - self.age)))
            self.weigh_when_due()
        return compare(self.found, self.ages[0])


def compare(found: Mapping[str, list[Mapping[str, float]]], age: float) -> list[Figure]:
    """Return the ratio with our helper and without; the reference has nothing like it."""
    parts = {name: describe(weights[len(weights) // 2]) for name, weights in found.items()}
    note = f"{age / 60:.1f} min after sign-in; ours: {parts['ours']}; defaults: {parts['defaults']}"
    figures = []
    for row, left_out, what in (("6a", (), "helper counted"), ("6b", (HELPER,), "helper left out")):
        sides = [
            Contender(label=name, unit="MiB", samples=tuple(add(w, left_out) for w in weights))
            for name, weights in found.items()
        ]
        figures.append(
            Figure(
                row=row,
                what=f"memory at rest / same images on their defaults ({what})",
                values=divide(*sides),
                goal=Goal(bound=0.8),
                contenders=tuple(sides),
                note=note,
            )
        )
    return figures


def add(weights: Mapping[str, float], left_out: tuple[str, ...]) -> Sample:
    """Return the sum in MiB; a server at rest uses no processor worth a column."""
    return Sample(value=sum(v for k, v in weights.items() if k not in left_out) / KIB, cpu=0.0)


def describe(weights: Mapping[str, float]) -> str:
    """Return each service's MiB."""
    return ", ".join(f"{name} {kib / KIB:.0f}" for name, kib in sorted(weights.items()))
