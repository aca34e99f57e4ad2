"""Row 9: a set of a whole server, and the next one after a day, beside `pg_dump | gzip` and `tar`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.filled_server import FilledServer
from tests.bench.rounds import interleave
from tests.bench.run_context import RunContext

ROUNDS: Final = 3
# What is usual by hand, and in most guides; the time of each step on a line of its own.
BY_HAND: Final = """
echo $EPOCHREALTIME
pg_dump $connect synapse | gzip -6 > /out/database.sql.gz
echo $EPOCHREALTIME
tar --create --gzip --directory /media --file /out/media.tar.gz .
echo $EPOCHREALTIME
tar --create --directory /media --file /out/media.tar .
echo $EPOCHREALTIME
"""
MB: Final = 1e6
UNITS: Final = {"bytes": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
DATABASE: Final = re.compile(r"^database: [\d.]+ \w+, ([\d.]+) (\w+) of it new", re.MULTILINE)


@dataclass(kw_only=True)
class SetRounds:
    """Sets and what is done by hand, measured in turns; sizes in MB."""

    server: FilledServer
    # Each run's time with an archive of the media that is not compressed.
    plain: list[Sample] = field(default_factory=list)
    added: list[float] = field(default_factory=list)
    databases: list[float] = field(default_factory=list)
    archives: list[float] = field(default_factory=list)
    dumps: list[float] = field(default_factory=list)

    def make_first(self) -> Sample:
        """Make a set in a new repository."""
        self.server.forget_sets()
        return self.make_next()

    def make_next(self) -> Sample:
        """Make a set in the repository that is there."""
        before = self.server.measure_repository()
        done = self.server.make_set()
        self.added.append((self.server.measure_repository() - before) / MB)
        self.databases.append(read_database_size(done.output))
        return Sample(value=done.seconds, cpu=done.cpu)

    def dump_by_hand(self) -> Sample:
        """Make a compressed dump and a compressed archive of the media."""
        done = self.server.run_reference(BY_HAND)
        _, dumped, packed, ended = map(float, done.output.split())
        files = [self.server.folder / name for name in ("database.sql.gz", "media.tar.gz")]
        dump, archive = (file.stat().st_size / MB for file in files)
        self.dumps.append(dump)
        self.archives.append(dump + archive)
        for file in self.server.folder.iterdir():
            file.unlink()
        self.plain.append(Sample(value=done.seconds - (packed - dumped), cpu=0.0))
        return Sample(value=done.seconds - (ended - packed), cpu=0.0)


def read_database_size(output: str) -> float:
    """Return how many MB of the database were new, as the command says it."""
    found = DATABASE.search(output)
    if not found:
        raise AssertionError(f"the set does not say how large the database is:\n{output}")
    return float(found[1]) * UNITS[found[2]]


def measure(context: RunContext, server: FilledServer) -> Iterator[Figure]:
    """Measure first sets, then later ones, each after one percent of growth."""
    yield from measure_first(context, server)
    context.budget.say("  later sets, one percent of growth before each")
    server.data.grow()
    yield from measure_later(context, server)
    yield Figure(row="9f", what="memory of a backup at its highest", values=(max(server.peaks),),
                 unit="MiB", goal=Goal(bound=180),
                 note=f"of a server without data: {server.peaks[0]:.0f} MiB")  # fmt: skip


def measure_first(context: RunContext, server: FilledServer) -> Iterator[Figure]:
    """Measure sets in new repositories: their time, and the size of the database in them."""
    rounds = SetRounds(server=server)
    found = run_rounds(context, rounds, "make_first", lambda: None)
    yield from compare_times("9a", "first set", rounds, found, goal=Goal(bound=1.6, at_least=True))
    yield compare_sizes(
        "9b", "bytes of the database in a first set", rounds.databases, rounds.dumps, bound=0.9
    )


def measure_later(context: RunContext, server: FilledServer) -> Iterator[Figure]:
    """Measure sets in a repository that holds the one before: their time, and what they add."""
    rounds = SetRounds(server=server)
    found = run_rounds(context, rounds, "make_next", server.data.grow)
    yield from compare_times("9c", "later set", rounds, found, goal=Goal(bound=2.5, at_least=True))
    yield compare_sizes(
        "9d", "bytes that a later set adds", rounds.added, rounds.archives, bound=0.1
    )


def run_rounds(
    context: RunContext, rounds: SetRounds, name: str, between: Callable[[], None]
) -> dict[str, tuple[Sample, ...]]:
    """Measure sets and the reference in turns."""
    measures = {"set": getattr(rounds, name), "by hand": rounds.dump_by_hand}
    return interleave(
        measures, rounds=min(ROUNDS, context.rounds), budget=context.budget, between=between
    )


def compare_times(
    row: str, what: str, rounds: SetRounds, found: dict[str, tuple[Sample, ...]], *, goal: Goal
) -> Iterator[Figure]:
    """Return how many times as fast a set is, and the same with media that are not compressed."""
    ours = Contender(label="set", unit="s", samples=found["set"])
    by_hand = Contender(label="dump and tar, both gzip -6", unit="s", samples=found["by hand"])
    plain = Contender(label="dump with gzip -6, plain tar", unit="s", samples=tuple(rounds.plain))
    yield Figure(row=row, what=f"speed of a {what} / `pg_dump / gzip -6` and `tar --gzip`",
                 values=divide(by_hand, ours), goal=goal, contenders=(ours, by_hand))  # fmt: skip
    yield Figure(row=row, what=f"speed of a {what} / `pg_dump / gzip -6` and plain `tar`",
                 values=divide(plain, ours), contenders=(ours, plain))  # fmt: skip


def compare_sizes(
    row: str, what: str, ours: list[float], theirs: list[float], *, bound: float
) -> Figure:
    """Return a ratio of sizes in MB."""
    sides = [
        Contender(label=label, unit="MB", samples=tuple(Sample(value=v, cpu=0.0) for v in values))
        for label, values in (("set", ours), ("by hand", theirs))
    ]
    return Figure(row=row, what=f"{what} / by hand, compressed", values=divide(*sides),
                  goal=Goal(bound=bound), contenders=tuple(sides))  # fmt: skip
