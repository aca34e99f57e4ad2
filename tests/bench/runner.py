"""The order of a run: what has to rest starts first, and rests while something else is measured."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from tests.bench import (
    backup_sets,
    cluster_rollouts,
    cluster_start,
    conversion,
    database_upgrade,
    generation,
    image_size,
    polling,
    regeneration,
    restoring,
    sending,
    startup,
    throughput,
    updates,
    worker_costs,
)
from tests.bench.default_stack import run_default_stack
from tests.bench.figures import Figure, Level, place_row
from tests.bench.filled_server import run_filled_server
from tests.bench.idle_usage import IdleServers
from tests.bench.report import list_cells
from tests.bench.run_context import RunContext, SignIn, sign_in
from tests.support.stacks import Stack, generate

ROWS: Final = (
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
    "10",
    "11",
    "12",
    "13",
    "14",
    "15",
    "16",
    "17",
)
WITH_DATA: Final = frozenset({"9", "10", "11", "16"})
WITH_SERVER: Final = frozenset(ROWS) - WITH_DATA - {"1", "3", "13", "14", "15", "17"}


@dataclass(kw_only=True)
class Runner:
    """Measures the rows that were asked for and keeps what it found."""

    context: RunContext
    rows: set[str]
    cleaning: ExitStack
    figures: list[Figure] = field(default_factory=list)
    levels: tuple[Level, ...] = ()
    missing: dict[str, str] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)

    def run(self, *, rest: float) -> None:
        """Measure everything; rows 1, 3, 13 to 15 and 17 alone need no server that runs already."""
        if self.rows & WITH_SERVER:
            self._run_with_server(rest)
        else:
            self._run_without_server(lambda: None)
        self._do("15", lambda: updates.measure(self.context))
        if self.rows & WITH_DATA:
            self._run_with_data()
        self.figures.sort(key=place_row)

    def give_up(self, reason: str) -> None:
        """Remember why the rows that are not done were not measured."""
        left = sorted(self.rows - self.done)
        self.missing = dict.fromkeys(left, reason) | self.missing

    def _run_with_server(self, rest: float) -> None:
        ours = self._start_ours()
        self._do("2", lambda: regeneration.measure(self.context, ours))
        self._do("8", lambda: image_size.measure(ours))
        resting = self._start_rest(ours, rest) if self.rows & {"6", "7"} else None
        session = resting.sessions[0] if resting else sign_in(ours)
        self._run_without_server(resting.weigh_when_due if resting else lambda: None)
        if resting:
            self._do("6", resting.measure)
            self._do("7", resting.measure_idleness)
            resting.plain.down()
        self._do("4", lambda: throughput.measure(self.context, ours))
        self._do("5", lambda: self._poll(ours, session))
        self._do("12", lambda: worker_costs.measure(self.context, ours))

    def _run_with_data(self) -> None:
        with run_filled_server(self.context, older="16" in self.rows) as server:
            # The first: what follows is measured on the newer one.
            self._do("16", lambda: database_upgrade.measure(server))
            self._do("9", lambda: backup_sets.measure(self.context, server))
            self._do("10", lambda: sending.measure(self.context, server))
            # The last: its data is gone afterwards.
            self._do("11", lambda: restoring.measure(self.context, server))

    def _run_without_server(self, between: Callable[[], None]) -> None:
        self._do("1", lambda: generation.measure(self.context))
        between()
        self._do("3", lambda: startup.measure(self.context, between))
        self._do("13", lambda: cluster_start.measure(self.context))
        self._do("17", lambda: cluster_rollouts.measure(self.context))
        self._do("14", lambda: conversion.measure(self.context))

    def _start_ours(self) -> Stack:
        self.context.budget.say("starting the bundle")
        ours = generate(self.context.folder / "ours", "bench", "")
        self.cleaning.callback(ours.down)
        ours.compose("build", "--quiet")
        ours.up()
        return ours

    def _start_rest(self, ours: Stack, seconds: float) -> IdleServers:
        self.context.budget.say("starting the same images on their defaults")
        plain = self.cleaning.enter_context(run_default_stack(self.context.folder / "plain"))
        sessions = sign_in(ours), plain.sign_in()
        return IdleServers(
            context=self.context, ours=ours, plain=plain, sessions=sessions, seconds=seconds
        )

    def _poll(self, ours: Stack, session: SignIn) -> Iterable[Figure]:
        figures, self.levels = polling.measure(self.context, ours, session)
        return figures

    def _do(self, row: str, measure: Callable[[], Iterable[Figure]]) -> None:
        if row not in self.rows:
            return
        self.context.budget.say(f"row {row}")
        try:
            found = list(measure())
        except (AssertionError, OSError, EOFError) as error:
            self.context.budget.say(f"row {row} FAILED: {error}")
            self.missing[row] = str(error).partition("\n")[0]
            return
        self.figures += found
        self.done.add(row)
        for figure in found:
            print("  ".join(list_cells(figure)), file=sys.stderr, flush=True)
