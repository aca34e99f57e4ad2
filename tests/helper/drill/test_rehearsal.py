"""The restore of a full drill: like any other, and nobody outside notices it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from bundle_helper.database.instance import read_record
from tests.helper.machines import Machine
from tests.helper.repositories import flip_byte, list_snapshots

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


def test_a_damaged_folder_in_the_set(old_machine: Machine, new_machine: Machine) -> None:
    """With the recovery card alone a machine begins with the folder, so it is read too."""
    # More than a pack of restic's, so that the largest pack holds nothing else.
    (old_machine.folder / "large").write_bytes(os.urandom(40_000_000))
    old_machine.succeed("backup", "now")
    packs = [path for path in (old_machine.repository / "data").rglob("*") if path.is_file()]
    flip_byte(max(packs, key=lambda path: path.stat().st_size))
    code, said = new_machine.run("restore", environ=DRILL)
    assert (code, "choose another set" in said) == (1, True)
    assert new_machine.instance == old_machine.instance
