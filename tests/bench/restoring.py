"""Row 11: a restore into empty volumes, beside `pg_restore` and `tar`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.filled_server import FilledServer
from tests.bench.rounds import interleave
from tests.bench.run_context import RunContext
from tests.support.engine import try_docker

ROUNDS: Final = 3
SAVE: Final = """
pg_dump $connect --format=custom --file=/out/database.dump synapse
tar --create --gzip --directory /media --file /out/media.tar.gz .
"""
LOAD: Final = """
pg_restore $connect --no-owner --single-transaction --exit-on-error --dbname=by_hand /out/database.dump
tar --extract --gzip --directory /restored --file /out/media.tar.gz
"""


@dataclass(frozen=True, kw_only=True)
class RestoreRounds:
    """Each side restores into the same server, just made and empty."""

    server: FilledServer

    def restore_set(self) -> Sample:
        """Restore the newest set by the command."""
        self._start_empty()
        done = self.server.restore()
        return Sample(value=done.seconds, cpu=done.cpu)

    def restore_by_hand(self) -> Sample:
        """Load the dump into a database of its own, and unpack the media into a volume."""
        self._start_empty()
        self.server.data.ask("CREATE DATABASE by_hand TEMPLATE template0 LOCALE 'C'", "postgres")
        volume = f"{self.server.stack.project}_by_hand"
        try:
            done = self.server.run_reference(LOAD, f"--volume={volume}:/restored")
        finally:
            try_docker("volume", "rm", "--force", volume)
        return Sample(value=done.seconds, cpu=done.cpu)

    def _start_empty(self) -> None:
        stack = self.server.stack
        stack.down()
        stack.compose("up", "--detach", "--wait", "postgres")


def measure(context: RunContext, server: FilledServer) -> Iterator[Figure]:
    """Save the server both ways, then restore it both ways in turns; its data is gone afterwards."""
    server.forget_sets()
    server.make_set()
    server.run_reference(SAVE)
    rounds = RestoreRounds(server=server)
    found = interleave(
        {"set": rounds.restore_set, "by hand": rounds.restore_by_hand},
        rounds=min(ROUNDS, context.rounds),
        budget=context.budget,
    )
    sides = [
        Contender(label=label, unit="s", samples=found[name])
        for name, label in (("set", "restore of a set"), ("by hand", "pg_restore and tar"))
    ]
    yield Figure(row="11", what="restore of a set / `pg_restore` and `tar --gzip`",
                 values=divide(*sides), goal=Goal(bound=1.2), contenders=tuple(sides),
                 note="a set's tables are compared, the repository's structure checked,"
                      " and the database analyzed")  # fmt: skip
