"""A backup that stands still in the middle of its first snapshot, so that anything can happen to it."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from unittest import mock

import psutil
import psycopg

from bundle_helper.backup import database_dump
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bundle_helper.backup.manifest import SetManifest
    from tests.helper.backup.conftest import Place

# Outside of Synapse's schema, so that `pg_dump` alone locks it.
AWAITED: Final = "beside.awaited"
_LONG_MILLISECONDS: Final = 600_000
WAITING: Final = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
    " AND datname = current_database()"
)


@dataclass(frozen=True, kw_only=True)
class WaitingDump:
    """The backup, the session in which a table is locked, and one that looks on."""

    outcome: Future[SetManifest]
    locking: psycopg.Connection
    watching: psycopg.Connection

    def find_process(self, name: str) -> psutil.Process:
        """Return the process of one of the programs, of which one may wait before another has begun."""
        wait_for(lambda: _list_running(name), f"{name} runs")
        return _list_running(name)[0]

    def find_backend(self) -> int:
        """Return the server's process that serves `pg_dump`."""
        row = self.watching.execute(WAITING).fetchone()
        assert row
        return int(row[0])

    def is_held(self) -> bool:
        """Say whether `pg_dump` still waits."""
        return self.watching.execute(WAITING).fetchone() is not None

    def release(self) -> SetManifest:
        """Let the backup go on, and return the manifest of its set."""
        self.locking.execute("COMMIT")
        return self.outcome.result()


@contextmanager
def start_waiting(place: Place, make: Callable[[Place], SetManifest]) -> Iterator[WaitingDump]:
    """Start a backup and wait until `pg_dump` waits for a table that is locked here."""
    # A transaction would see the activity of its first look only.
    with (
        mock.patch.object(database_dump, "LOCK_WAIT", _LONG_MILLISECONDS),
        place.connect() as watching,
        place.connect() as locking,
        ThreadPoolExecutor(1) as pool,
    ):
        lock_awaited(locking)
        waiting = WaitingDump(outcome=pool.submit(make, place), locking=locking, watching=watching)
        try:
            wait_for(
                lambda: waiting.outcome.done() or watching.execute(WAITING).fetchone(),
                "pg_dump waits for the lock",
            )
            assert not waiting.outcome.done(), waiting.outcome.exception()
            yield waiting
        finally:
            # Where the server was killed there is none.
            with suppress(psycopg.OperationalError):
                locking.execute("ROLLBACK")


def lock_awaited(locking: psycopg.Connection) -> None:
    """Begin a transaction that keeps `pg_dump` waiting."""
    locking.execute("CREATE SCHEMA IF NOT EXISTS beside")
    locking.execute(f"CREATE TABLE IF NOT EXISTS {AWAITED} (id int)")
    locking.execute("BEGIN")
    locking.execute(f"LOCK TABLE {AWAITED} IN ACCESS EXCLUSIVE MODE")


def _list_running(name: str) -> list[psutil.Process]:
    """Return the processes of a program that were started from here."""
    started = psutil.Process().children(recursive=True)
    return [
        process
        for process in started
        if any(part.endswith(f"/real/{name}") for part in _read_arguments(process))
    ]


def _read_arguments(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def read_processes() -> str:
    """Return the arguments and the environment of every program started from here."""
    return "\n".join(
        Path(f"/proc/{process.pid}/{kind}").read_text(errors="replace")
        for process in psutil.Process().children(recursive=True)
        for kind in ("cmdline", "environ")
    )
