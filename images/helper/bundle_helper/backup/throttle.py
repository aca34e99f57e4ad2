"""How fast a set is made: at full speed on a server that rests, a quarter of the time beside people's requests.

The weight of a container (`cpu_shares`) decides who gets a processor that two want. A request wants one some
twenty times, each time for a moment, and each time may wait until another process has had its turn.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import psycopg

from ..database.connection import SUPERUSER, connect

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from ..settings.database_settings import DatabaseSettings

# Transactions a second. A sent message is some fifty; a server that rests has a dozen at once every ten
# seconds, because PostgreSQL counts those of a connection together when it has been idle for so long.
_BUSY: Final = 50
_LOOK_SECONDS: Final = 0.5
# PostgreSQL counts what a connection in use did up to a second later.
_LINGER_SECONDS: Final = 3.0
# Seconds, in turns, as long as the server is busy: docs/performance.md has what was measured.
_RUNNING_SECONDS: Final = 0.01
_STANDING_SECONDS: Final = 0.03
_GRACE_SECONDS: Final = 5.0


class Throttle:
    """Holds processes back while the server is busy."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[str]] = []
        self._ended = threading.Event()

    @contextmanager
    def hold_back(self, process: subprocess.Popen[str]) -> Iterator[None]:
        """Throttle a process for as long as it runs inside; afterwards it does not stand still.

        While it stands still it takes no input, so what feeds it waits as well, and PostgreSQL for that.
        """
        with self._lock:
            self._processes.append(process)
        try:
            yield
        finally:
            with self._lock:
                self._processes.remove(process)
                process.send_signal(signal.SIGCONT)

    def follow(self, database: DatabaseSettings) -> None:
        """Heed the transactions in Synapse's database until `end`, or until PostgreSQL ends."""
        try:
            with connect(
                database, SUPERUSER, database.superuser_password, database.database_name
            ) as connection:
                self._follow(connection)
        except psycopg.Error:
            # What needs the database says itself that it is away.
            return

    def end(self) -> None:
        """Let everything run."""
        self._ended.set()

    def _follow(self, connection: psycopg.Connection) -> None:
        counted, looked, busy_until = _count(connection), time.monotonic(), 0.0
        while not self._ended.wait(_RUNNING_SECONDS if looked < busy_until else _LOOK_SECONDS):
            if (now := time.monotonic()) - looked >= _LOOK_SECONDS:
                count = _count(connection)
                if count - counted > _BUSY * (now - looked):
                    busy_until = now + _LINGER_SECONDS
                counted, looked = count, now
            if now < busy_until:
                self._stand_still()

    def _stand_still(self) -> None:
        self._signal(signal.SIGSTOP)
        self._ended.wait(_STANDING_SECONDS)
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            for process in self._processes:
                process.send_signal(number)


@contextmanager
def throttling(database: DatabaseSettings) -> Iterator[Throttle]:
    """Yield the throttle of what makes a set of this database."""
    throttle = Throttle()
    # A PostgreSQL that hangs must not keep a backup that has ended.
    thread = threading.Thread(target=throttle.follow, args=(database,), daemon=True)
    thread.start()
    try:
        yield throttle
    finally:
        throttle.end()
        thread.join(_GRACE_SECONDS)


def _count(connection: psycopg.Connection) -> int:
    """Return the number of transactions in this database so far."""
    row = connection.execute(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    ).fetchone()
    return int(row[0]) if row else 0
