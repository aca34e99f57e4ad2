"""Interleaved rounds: A B, B A, A B ... so that a machine that changes its speed changes both."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tests.bench.budget import Budget
from tests.bench.figures import Sample

Measure = Callable[[], Sample]


def interleave(
    measures: Mapping[str, Measure],
    *,
    rounds: int,
    budget: Budget,
    leave: float = 0,
    between: Callable[[], None] = lambda: None,
) -> dict[str, tuple[Sample, ...]]:
    """Measure every contender once in each round, every second round in the opposite order.

    Stops early where another round would not fit into the budget, of which `leave` seconds are for
    what follows; the number of samples shows it.
    """
    found: dict[str, list[Sample]] = {name: [] for name in measures}
    longest = 0.0
    for number in range(rounds):
        if number and longest > budget.remaining - leave:
            budget.say(f"  no time for more than {number} of {rounds} rounds")
            break
        began = time.monotonic()
        for name in list(measures)[:: -1 if number % 2 else 1]:
            found[name].append(measures[name]())
        longest = max(longest, time.monotonic() - began)
        latest = ", ".join(f"{name} {samples[-1].value:.4g}" for name, samples in found.items())
        budget.say(f"  round {number + 1} of {rounds}: {latest}")
        between()
    return {name: tuple(samples) for name, samples in found.items()}
