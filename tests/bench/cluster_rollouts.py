"""Row 17: what clients notice while parts of a bundle in a cluster are replaced."""

from __future__ import annotations

from typing import Final

from tests.bench.cluster_start import open_household
from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.run_context import RunContext
from tests.cluster.household import (
    DIRECTLY,
    DOCUMENT,
    EDGE,
    MAINS,
    SETTINGS,
    WORKERS,
    Household,
    Load,
)
from tests.support.waiting import wait_for

ROUNDS: Final = 3
WORKER: Final = "statefulset/synapse-generic"
MAIN: Final = "statefulset/synapse"


def measure(context: RunContext) -> list[Figure]:
    """Replace the edge, the worker and the main process in turn, while each is asked ten times a second."""
    rounds = min(context.rounds, ROUNDS) if not context.quick else 1
    edge, worker, main = [], [], []
    with open_household(context, "rollouts", f"{SETTINGS}memory: 4G\nworkers: small\n") as home:
        try:
            home.apply()
            home.wait_ready()
            for number in range(1, rounds + 1):
                context.budget.say(f"  round {number} of {rounds}")
                edge.append(roll(home, EDGE, WORKERS, DOCUMENT))
                worker.append(roll(home, WORKER, WORKERS))
                main.append(roll(home, MAIN, MAINS, DIRECTLY))
        finally:
            home.cluster.kubectl("delete", "namespace", home.cluster.namespace)
    return [
        count_failures("17a", "the edge", edge),
        count_failures("17b", "the worker", worker),
        compare_gaps(main),
    ]


def roll(home: Household, workload: str, *addresses: str) -> dict[str, Load]:
    """Replace a workload's pods, and let everything answer again."""
    loads = home.roll(workload, *addresses)
    wait_for(lambda: home.check() == [], "the check is green")
    return loads


def count_failures(row: str, what: str, rounds: list[dict[str, Load]]) -> Figure:
    """Return the figure of what failed, which is nothing."""
    asked = sum(load.asked for loads in rounds for load in loads.values())
    failed = (sum(len(load.failures) for load in loads.values()) for loads in rounds)
    return Figure(
        row=row,
        what=f"requests that fail while {what} of a bundle in a cluster is replaced",
        values=tuple(float(number) for number in failed),
        unit="requests",
        goal=Goal(bound=0),
        note=f"of {asked}",
    )


def compare_gaps(rounds: list[dict[str, Load]]) -> Figure:
    """Return the figure of the main process: through Apache it is away for as long as by itself."""
    sides = {
        label: Contender(
            label=label,
            unit="s",
            samples=tuple(Sample(value=loads[address].gap, cpu=0) for loads in rounds),
        )
        for label, address in (("through Apache", MAINS), ("directly", DIRECTLY))
    }
    return Figure(
        row="17c",
        what="time without an answer while the main process is replaced: through Apache / its own",
        values=divide(sides["through Apache"], sides["directly"]),
        goal=Goal(bound=1.2),
        contenders=tuple(sides.values()),
    )
