"""A set is made slowly while people use the server, and at full speed otherwise."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from bundle_helper.backup import throttle
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.helper.backup.conftest import Place

pytestmark = pytest.mark.engine


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """Run what computes until it is ended."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"], text=True) as running:
        yield running
        running.kill()


def stands_still(process: subprocess.Popen[str]) -> bool:
    """Return whether the kernel has the process stopped: proc_pid_stat(5)."""
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def test_it_stands_still_while_synapse_works(place: Place, process: subprocess.Popen[str]) -> None:
    """Transactions hold it back; without any it runs, and afterwards it runs whatever happens."""
    with place.connect() as synapse, throttle.throttling(place.settings.database) as limit:

        def work() -> bool:
            for _ in range(50):
                synapse.execute("SELECT 1")
            return stands_still(process)

        with limit.hold_back(process):
            wait_for(work, "it stands still")
            wait_for(lambda: not work(), "it runs for a moment all the same")
            wait_for(work, "it stands still again")
        assert not stands_still(process)


def test_it_runs_while_nobody_works(
    place: Place, process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As few transactions as a server has that rests."""
    looks = 0

    def count(_: psycopg.Connection) -> int:
        nonlocal looks
        looks += 1
        return looks // 100

    stops: list[signal.Signals] = []
    monkeypatch.setattr(throttle, "_count", count)
    monkeypatch.setattr(throttle, "_LOOK_SECONDS", 0.01)
    monkeypatch.setattr(throttle, "_BUSY", 200)
    with throttle.throttling(place.settings.database) as limit, limit.hold_back(process):
        monkeypatch.setattr(limit, "_signal", stops.append)
        wait_for(lambda: looks > 200, "the transactions were counted often")
    assert stops == []


def test_a_server_that_is_away_holds_nothing_back(
    place: Place, process: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What reads files only needs no database, and what needs it says so itself."""

    def refuse(*_: object) -> psycopg.Connection:
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(throttle, "connect", refuse)
    with throttle.throttling(place.settings.database) as limit, limit.hold_back(process):
        assert not stands_still(process)
