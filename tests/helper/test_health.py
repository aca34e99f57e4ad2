"""Health means: the service lives, the certificate is valid, the accounts exist."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle_helper import health

NOW = datetime(2026, 1, 1, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[2]
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["time", "certificate", "accounts", "ensured"]), inner)
    ),
)


def status(**changes: Any) -> dict[str, Any]:
    """Return a healthy status, changed in places."""
    healthy = {
        "time": NOW.isoformat(),
        "certificate": {
            "valid_until": (NOW + timedelta(days=1)).isoformat(),
            "serial": "01",
            "problem": None,
        },
        "accounts": {"ensured": True, "problem": None},
    }
    return {**healthy, **changes}


def run(directory: Path) -> tuple[int, str]:
    """Run the health check as Docker does."""
    answer = subprocess.run(
        [sys.executable, "-m", "bundle_helper.health"],
        env={
            "STATE_DIRECTORY": str(directory),
            "PYTHONPATH": str(REPOSITORY / "images" / "helper"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stderr == ""
    return answer.returncode, answer.stdout


def test_a_fresh_good_status_is_healthy() -> None:
    """Up to three minutes old, all in order: healthy."""
    assert health.judge(status(), NOW + timedelta(seconds=180)) is None


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"time": (NOW - timedelta(seconds=181)).isoformat()}, "silent for 181 s"),
        (
            {"certificate": {"valid_until": None, "problem": "two\nlines"}},
            "no usable certificate: two lines",
        ),
        ({"certificate": {"valid_until": NOW.isoformat(), "problem": None}}, "expired"),
        ({"accounts": {"ensured": False, "problem": "Synapse sleeps"}}, "Synapse sleeps"),
    ],
)
def test_each_defect_is_unhealthy_with_its_reason(changed: dict[str, Any], reason: str) -> None:
    """Silence, a bad certificate or missing accounts are each named."""
    assert reason in str(health.judge(status(**changed), NOW))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"warning": NOW.isoformat(), "problem": "no token"}, "its renewal fails: no token"),
        ({"failure": NOW.isoformat()}, "is not renewed: no attempt was made"),
        (
            {
                "origin": "placeholder",
                "problem": "no token",
                "failing_since": (NOW - timedelta(hours=1)).isoformat(),
            },
            "a placeholder is served",
        ),
    ],
)
def test_a_certificate_that_will_be_missed_is_unhealthy_beforehand(
    changed: dict[str, Any], reason: str
) -> None:
    """Degraded comes with the reason, and with the date from which clients would notice."""
    said = str(health.judge(status(certificate={**status()["certificate"], **changed}), NOW))
    assert reason in said
    assert "origin" in changed or (NOW + timedelta(days=1)).isoformat() in said


def test_a_placeholder_is_healthy_for_an_hour() -> None:
    """The first certificate takes its time, and the stack is up meanwhile."""
    certificate = {**status()["certificate"], "origin": "placeholder"}
    assert health.judge(status(certificate=certificate), NOW) is None
    failing = {"problem": "no token", "failing_since": (NOW - timedelta(minutes=59)).isoformat()}
    assert health.judge(status(certificate={**certificate, **failing}), NOW) is None


def test_a_placeholder_that_nothing_explains_is_unhealthy_too() -> None:
    """Beyond its hour it is degraded, with a problem or without one."""
    since = {"failing_since": (NOW - timedelta(hours=1)).isoformat()}
    certificate = {**status()["certificate"], "origin": "placeholder", **since}
    assert "a placeholder is served" in str(health.judge(status(certificate=certificate), NOW))


def test_a_failing_renewal_alone_is_not_unhealthy() -> None:
    """While the live certificate is valid the service is healthy; `check` reports the renewal."""
    certificate = {**status()["certificate"], "problem": "the authority is gone"}
    assert health.judge(status(certificate=certificate), NOW) is None


@given(content=_JSON)
def test_a_strange_status_is_unhealthy_and_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, content: Any
) -> None:
    """Whatever the file holds, the answer is one line."""
    directory = tmp_path_factory.mktemp("state")
    (directory / "status.json").write_text(json.dumps(content))
    assert health.find_problem(str(directory), NOW)


def test_the_command_prints_one_line_and_says_it_by_exit_code(tmp_path: Path) -> None:
    """Exit code 1 with the reason without a status, 0 with a good one."""
    assert run(tmp_path) == (1, "unhealthy: the service has not written its status yet\n")
    now = datetime.now(UTC)
    until = {"valid_until": (now + timedelta(days=1)).isoformat(), "problem": None}
    content = status(time=now.isoformat(), certificate=until)
    (tmp_path / "status.json").write_text(json.dumps(content))
    assert run(tmp_path) == (0, "healthy\n")


def test_the_command_imports_the_standard_library_alone() -> None:
    """The check runs every few seconds, so nothing heavy may creep in."""
    code = (
        "import sys, bundle_helper.health as h; "
        "print(*sorted({n.partition('.')[0] for n in sys.modules}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={"PYTHONPATH": str(REPOSITORY / "images" / "helper")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = {"click", "rich", "psycopg", "cryptography", "typing", "dataclasses", "subprocess"}
    assert heavy.isdisjoint(loaded)
