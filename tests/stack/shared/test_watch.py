"""The helper's watch on a running server: a database that stops is reported, and so is its return."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synapse_bundle import topology
from tests.support.stacks import Stack
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine


def look(stack: Stack) -> dict[str, Any]:
    """Do one round of the watch, and return the problem of each part."""
    done = stack.ask_helper("python3", "-m", "bundle_helper.service", "watch")
    assert done.returncode == 0, done.stdout + done.stderr
    left = stack.ask_helper("cat", f"{topology.HELPER.state}/watch.json").stdout
    return {name: part["problem"] for name, part in json.loads(left).items()}


def test_a_stopped_database_is_reported_and_the_helper_stays_healthy(trial: Stack) -> None:
    """No other part is blamed; the status has it without another round; its end is noticed too."""
    well = dict.fromkeys(("apache", "database", "disk"))
    wait_for(lambda: look(trial) == well, "all is well")
    trial.compose("stop", "postgres")
    try:
        found = look(trial)
        assert found["database"]
        assert found | {"database": None} == well

        def is_told() -> bool:
            status = trial.ask_helper("cat", f"{topology.HELPER.state}/status.json").stdout
            return bool(json.loads(status)["watch"].get("database", {}).get("problem"))

        wait_for(is_told, "the status has the problem")
        assert trial.health("helper") == "healthy"
    finally:
        trial.compose("start", "postgres")
        trial.wait_healthy()
    wait_for(lambda: look(trial) == well, "all is well again")
    wait_for(lambda: "database: OK" in trial.compose("logs", "helper").stdout, "the end is logged")
