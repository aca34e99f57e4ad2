"""The loop does its duties at the right times, tells news once, and ends when asked."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bundle_helper import certificate, health, service
from bundle_helper.errors import HelperError
from bundle_helper.service import Duties
from tests.helper.conftest import Bundle

START = datetime(2026, 1, 1, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[2]


class Clock:
    """A clock that moves only while the service waits, and a stop after some rounds."""

    def __init__(self, rounds: int) -> None:
        self.now = START
        self.pauses: list[float] = []
        self._rounds = rounds

    def is_set(self) -> bool:
        """Say whether enough rounds were made."""
        return len(self.pauses) >= self._rounds

    def wait(self, timeout: float) -> bool:
        """Let the time pass at once."""
        self.pauses.append(timeout)
        self.now += timedelta(seconds=timeout)
        return self.is_set()


def run(
    directory: Path, rounds: int, failures: int, state: certificate.State | None = None
) -> tuple[Clock, list[str], int]:
    """Serve for some rounds with accounts that fail at first; return clock, words, attempts."""
    clock, attempts = Clock(rounds), 0
    told: list[str] = []

    def accounts() -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= failures:
            raise HelperError("Synapse sleeps")

    work = Duties(certificate=lambda _: state or certificate.State(live=None), accounts=accounts)
    service.serve(work, directory, clock, lambda: clock.now, told.append)
    return clock, told, attempts


def status(directory: Path) -> dict[str, dict[str, object]]:
    content: dict[str, dict[str, object]] = json.loads((directory / "status.json").read_text())
    return content


def test_while_synapse_starts_it_asks_every_second(tmp_path: Path) -> None:
    """Nobody waits for a helper that sleeps; once done, a round takes a minute."""
    clock, _, attempts = run(tmp_path, rounds=5, failures=3)
    assert clock.pauses == [1, 1, 1, 60, 60]
    assert attempts == 4


def test_a_synapse_that_never_comes_is_asked_ever_more_seldom(tmp_path: Path) -> None:
    """After a minute of vain attempts the pauses grow up to a minute."""
    clock, _, _ = run(tmp_path, rounds=80, failures=100)
    assert clock.pauses[:60] == [1] * 60
    assert clock.pauses[60:67] == [2, 4, 8, 16, 32, 60, 60]


def test_a_problem_is_told_once(tmp_path: Path) -> None:
    """The log says when a problem comes and when it goes, not every second."""
    _, told, _ = run(tmp_path, rounds=20, failures=10)
    assert told == ["certificate: in order", "accounts: Synapse sleeps", "accounts: in order"]


def test_the_status_follows_each_round(tmp_path: Path) -> None:
    """The heartbeat carries the time of the round and what is still missing."""
    run(tmp_path, rounds=3, failures=9, state=certificate.State(live=None, problem="no key"))
    assert status(tmp_path) == {
        "time": (START + timedelta(seconds=2)).isoformat(),
        "certificate": {
            **dict.fromkeys(("valid_until", "serial", "origin", "warning", "failure")),
            "failing_since": None,
            "next_attempt": None,
            "problem": "no key",
        },
        "accounts": {"ensured": False, "problem": "Synapse sleeps"},
    }


def test_a_status_that_can_not_be_written_ends_the_service(tmp_path: Path) -> None:
    """Without a place for its heartbeat the service ends with a reason, not silently unhealthy."""
    with pytest.raises(HelperError, match=r"status\.json can not be written"):
        run(tmp_path / "missing", rounds=1, failures=0)


def test_the_real_service_becomes_healthy_and_stops_on_sigterm(bundle: Bundle) -> None:
    """Started against an answering homeserver it is healthy at once; SIGTERM gives exit code 0."""
    command = [sys.executable, "-c", "from bundle_helper.cli import main; main()", "run"]
    environ = {**bundle.environ, "PYTHONPATH": str(REPOSITORY / "images" / "helper")}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 20
        while health.look(bundle.environ["STATE_DIRECTORY"], datetime.now(UTC)):
            assert time.monotonic() < deadline, "the service did not become healthy"
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=5)
    assert process.returncode == 0
    assert "created the account @alice:example.org" in said
    assert not any(secret in said for secret in bundle.secret_values)
