"""The supervisor: small; it starts a duty when that is due, logs a change once, ends when asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bundle_helper import health
from bundle_helper.service.duty import Duty
from bundle_helper.service.supervisor import ProblemLog, Supervisor
from tests.helper.conftest import Bundle
from tests.support.waiting import PATIENCE, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

REPOSITORY = Path(__file__).parents[3]
PACKAGE = str(REPOSITORY / "images" / "helper")
SERVE = (
    "import sys; sys.path.insert(0, sys.argv[1]); from bundle_helper.service.supervisor import *; "
    "Supervisor(sys.argv[2], lambda duty: ['/bin/sh', sys.argv[3], duty]).serve()"
)
# It publishes, and nothing but another duty lets it look at its files.
PUBLISH = SERVE.replace(").serve()", ", publishes=True).serve()").replace(
    "from bundle_helper",
    "from bundle_helper.service import duty; duty.POLL_SECONDS = 3600; from bundle_helper",
    1,
)


@contextmanager
def supervise(state: Path, script: str, serve: str = SERVE) -> Iterator[subprocess.Popen[str]]:
    """Run a supervisor whose duties are one shell script, which knows its duty as $1."""
    file = state.parent / "duty.sh"
    file.write_text(f"cd {state}\n{script}\n")
    command = [sys.executable, "-I", "-S", "-c", serve, PACKAGE, str(state), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read(state: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads((state / "status.json").read_text())
    except FileNotFoundError:
        return {}
    return content


def leave(**content: Any) -> str:
    """Return shell that leaves what a duty found, in one step."""
    return f"echo '{json.dumps(content)}' > $1.$$ && mv $1.$$ $1.json"


GOOD = leave(valid_until="2099-01-01T00:00:00+00:00", problem=None)
ENSURED = leave(ensured=True, problem=None)


def test_what_the_duties_leave_is_the_status(tmp_path: Path) -> None:
    """The status has the time and what each found, without what is for the supervisor alone."""
    (tmp_path / "state").mkdir()
    found = leave(valid_until="2099-01-01T00:00:00+00:00", problem=None, files={}, due=None)
    script = f"case $1 in certificate) {found} ;; accounts) {ENSURED} ;; esac"
    with supervise(tmp_path / "state", script) as process:
        wait_for(
            lambda: health.find_problem(str(tmp_path / "state"), datetime.now(UTC)) is None,
            "health",
        )
        process.terminate()
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert sorted(said.splitlines()) == ["accounts: OK", "certificate: OK"]
    status = read(tmp_path / "state")
    assert status.pop("time")
    assert status == {
        "certificate": {"valid_until": "2099-01-01T00:00:00+00:00", "problem": None},
        "accounts": {"ensured": True, "problem": None},
        "watch": {},
    }


def test_without_a_list_of_releases_nothing_looks_one_up(tmp_path: Path) -> None:
    """And with one its duty is part of the status from the start, whatever it finds later."""
    for informs in (False, True):
        supervisor = Supervisor(str(tmp_path), lambda duty: ["/bin/true", duty], informs=informs)
        assert ("updates" in [duty.name for duty in supervisor._duties]) is informs


def test_a_duty_that_dies_is_reported_and_started_again(tmp_path: Path) -> None:
    """Killed or crashed, it is a problem in the status until another process ends well."""
    state = tmp_path / "state"
    state.mkdir()
    script = f"""
    [ $1 = certificate ] || exit 0
    echo >> tries
    case $(wc -l < tries) in
      1) kill -9 $$ ;;
      2) {GOOD}; exit 3 ;;
      *) [ -e go ] && {GOOD} ; exit $? ;;
    esac"""
    with supervise(state, script):
        wait_for(lambda: "signal 9" in str(read(state)), "the kill is reported")
        wait_for(lambda: "exit code 3" in str(read(state)), "the crash is reported")
        assert read(state)["certificate"]["valid_until"] == "2099-01-01T00:00:00+00:00"
        (state / "go").touch()
        wait_for(lambda: read(state)["certificate"]["problem"] is None, "it is in order again")


def test_what_another_duty_left_is_published_at_once(tmp_path: Path) -> None:
    """In a cluster the edge waits for the first certificate."""
    state = tmp_path / "state"
    state.mkdir()
    seen = leave(problem=None, files={str(state / "live.pem"): None})
    script = f"""
    case $1 in
      publication) echo >> runs; {seen} ;;
      certificate) until [ -e publication.json ]; do sleep 0.05; done; touch live.pem; {GOOD} ;;
    esac"""
    with supervise(state, script, PUBLISH):
        wait_for((state / "live.pem").exists, "there is a certificate")
        wait_for(lambda: len((state / "runs").read_text()) > 1, "it is published")


def test_asked_to_stop_it_stops_its_duties_and_waits_for_them(tmp_path: Path) -> None:
    """A duty that is at work hears of the end, and has time to clean up behind itself."""
    state = tmp_path / "state"
    state.mkdir()
    script = """
    [ $1 = certificate ] || exit 0
    trap 'sleep 1; touch cleaned; exit 130' TERM
    touch begun
    while :; do sleep 0.1; done"""
    with supervise(state, script) as process:
        wait_for((state / "begun").exists, "the duty has begun")
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert (state / "cleaned").exists()


def test_what_an_earlier_service_left_is_no_news(tmp_path: Path) -> None:
    """Accounts that an earlier life ensured are not ensured in this one."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "accounts.json").write_text('{"ensured": true, "problem": null}')
    script = f"case $1 in certificate) {GOOD} ;; *) sleep 60 ;; esac"
    with supervise(state, script):
        wait_for(lambda: read(state), "there is a status")
        assert read(state)["accounts"]["ensured"] is False


def test_a_status_that_can_not_be_written_ends_the_service(bundle: Bundle, tmp_path: Path) -> None:
    """Without a place for its heartbeat the service ends with a reason, not silently unhealthy."""
    environ = {**bundle.environ, "STATE_DIRECTORY": str(tmp_path / "missing")}
    done = subprocess.run(
        [sys.executable, "-c", "from bundle_helper.cli import main; main()", "run"],
        env={**environ, "PYTHONPATH": PACKAGE},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 1
    assert "status.json" in done.stdout
    assert "cannot be written" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def duty(content: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> tuple[Duty, list[float]]:
    """Return a duty that ended well at second 1000 of a clock, and that clock."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "time", lambda: clock[0])
    found = Duty("certificate", content, pause=3600, longest=100)
    found.end(0)
    return found, clock


def calls(found: Duty, clock: list[float], moments: list[float]) -> list[float]:
    """Return the moments at which the duty is due, which then looks and finds nothing new."""
    due = []
    for moment in moments:
        clock[0] = moment
        found.poll()
        if moment >= found.due:
            due.append(moment)
            found.end(0)
    return due


def test_a_quiet_duty_is_due_once_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changed and nothing due: nothing is started."""
    found, clock = duty({"files": {"/nonexistent": None}, "due": None}, monkeypatch)
    assert calls(found, clock, [1010, 1060, 4599, 4600, 4610, 8200]) == [4600, 8200]


def test_a_duty_is_due_at_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline that it named itself calls it."""
    found, clock = duty({"due": 1500}, monkeypatch)
    assert calls(found, clock, [1490, 1500]) == [1500]


def test_a_changed_file_calls_for_a_look(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that comes, changes or goes is noticed; what always changes, less and less often."""
    file = tmp_path / "live.pem"
    found, clock = duty({"files": {str(file): None}}, monkeypatch)
    assert calls(found, clock, [1020]) == []
    file.touch()
    moments = list(map(float, range(1021, 1300)))
    assert calls(found, clock, moments) == [1021, 1041, 1081, 1141, 1201, 1261]


def test_a_duty_that_hurries_looks_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is due if something has changed, and rests as ever if not."""
    file = tmp_path / "live.pem"
    found, clock = duty({"files": {str(file): None}}, monkeypatch)
    found.hurry()
    assert calls(found, clock, [1001]) == []
    file.touch()
    assert calls(found, clock, [1002]) == []
    found.hurry()
    assert calls(found, clock, [1003]) == [1003]


def test_a_duty_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked at first, killed if it does not listen."""
    sent: list[int] = []
    found, clock = duty({}, monkeypatch)
    monkeypatch.setattr(os, "posix_spawn", lambda *_, **__: 4711)
    monkeypatch.setattr(os, "kill", lambda _, number: sent.append(number))
    found.start(["/bin/true"])
    for moment in (1099.0, 1100.0, 1108.0, 1109.0):
        clock[0] = moment
        found.end_overdue()
    assert sent == [signal.SIGTERM, signal.SIGKILL]


def test_a_problem_is_reported_once() -> None:
    """The log says when a problem comes and when it goes, not at every look; parts have their own."""
    told: list[str] = []
    problems = ProblemLog(told.append)
    for problem in ("Synapse sleeps", "Synapse sleeps", None, None):
        problems.note_all("accounts", {"problem": problem})
        problems.note_all("watch", {"disk": {"problem": problem}})
    assert told == [
        *("accounts: Synapse sleeps", "disk: Synapse sleeps"),
        *("accounts: OK", "disk: OK"),
    ]


def test_it_imports_a_handful_of_the_standard_library() -> None:
    """It stays for months: what the duties need may not creep in."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import bundle_helper.service.supervisor; "
        "print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, PACKAGE],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {"click", "cryptography", "pathlib", "subprocess", "threading", "typing", "http", "ssl"}
    assert heavy.isdisjoint(loaded)


def test_the_real_service_becomes_healthy_and_stops_on_sigterm(bundle: Bundle) -> None:
    """Started against an answering homeserver it is healthy at once; SIGTERM gives exit code 0."""
    command = [sys.executable, "-c", "from bundle_helper.cli import main; main()", "run"]
    environ = {**bundle.environ, "PYTHONPATH": PACKAGE}
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        state = bundle.environ["STATE_DIRECTORY"]
        wait_for(lambda: health.find_problem(state, datetime.now(UTC)) is None, "it is healthy")
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "created the account @alice:example.org" in said
    assert not any(secret in said for secret in bundle.secret_values)
