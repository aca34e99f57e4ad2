"""The restore of a full drill: like any other, and nobody outside notices it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bundle_helper.database.instance import read_record
from tests.helper.machines import Machine
from tests.helper.repositories import list_snapshots

pytestmark = pytest.mark.engine

DRILL = {"DRILL_FILE": "/report/drill.json"}


def read_expected(machine: Machine) -> Any:
    """Return what the restore says that the server must hold."""
    return json.loads((machine.directory / "report" / "drill.json").read_text())


def test_data_is_restored_and_nobody_is_told(saved_machine: Machine, target: Machine) -> None:
    """The database gets the folder's id; repository and folder stay as they are."""
    before = json.loads(target.describe())
    locks = target.repository / "locks"
    never_locked = locks.stat().st_mtime_ns
    said = target.succeed("restore", environ=DRILL)
    assert "docker compose up" not in said
    after = json.loads(target.describe())
    for place in (target.folder, target.repository):
        assert after[str(place)] == before[str(place)]
    # A lock would be a file, and its folder can be mounted read-only.
    assert locks.stat().st_mtime_ns == never_locked
    assert list_snapshots(target, "takeover") == []
    with target.superuser() as superuser:
        record = read_record(superuser, target.database)
    assert record is not None
    assert (record.id, record.restoring) == (target.instance, None)
    assert target.ask("SELECT count(*) FROM events") == 500
    assert target.ask("SELECT count(*) FROM e2e_one_time_keys_json") == 0
    assert target.can_start
    expected = read_expected(target)
    assert len(expected["media"]) == 3
    assert all(one["sha256"] for one in expected["media"])
