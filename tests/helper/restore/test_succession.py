"""A newer PostgreSQL takes a server over: nothing is lost, and at most one of the two can start."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bundle_helper.database.instance import read_record
from tests.helper.conftest import PostgresServer, run_postgres
from tests.helper.machines import KILL_CODE, Machine, build_image, describe_files, make_machine
from tests.helper.repositories import forge, list_snapshots, read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine
_KEYS = "SELECT count(*) FROM e2e_one_time_keys_json"
_POSITION = "SELECT last_value FROM events_stream_seq"
_MOVE = ("backup", "move", "--to-postgres", "18")
_LOAD = ("restore", "--keep-files")


@pytest.fixture(scope="module")
def newer_postgres(
    backup_image: None, postgres_address: PostgresServer
) -> Iterator[PostgresServer]:
    """Start the next major version, with the same superuser's password as one bundle has it."""
    build_image(18)
    with run_postgres("postgres:18-trixie", postgres_address.password) as server:
        yield server


@pytest.fixture
def newer(old_machine: Machine, newer_postgres: PostgresServer) -> Iterator[Machine]:
    """Return the same folder and volumes, with the newer PostgreSQL."""
    machine = replace(
        old_machine,
        server=newer_postgres,
        major=18,
        environ={k: v for k, v in old_machine.environ.items() if k != "DATABASE_HOST"},
        containers=[],
    )
    yield machine
    machine.stop()


@pytest.fixture
def newer_target(
    saved_machine: Machine, newer_postgres: PostgresServer, tmp_path: Path
) -> Iterator[Machine]:
    """Return another machine with a copy of the folder, an older set and the newer PostgreSQL."""
    repository = tmp_path / "repository"
    shutil.copytree(saved_machine.repository, repository)
    machine = replace(
        make_machine(tmp_path / "newer", repository, newer_postgres, copy_of=saved_machine),
        major=18,
    )
    yield machine
    machine.stop()


def test_a_set_of_17_is_restored_into_18(saved_machine: Machine, newer_target: Machine) -> None:
    """The newer PostgreSQL reads what the older one wrote, and every table is equal."""
    said = newer_target.succeed("restore")
    assert "advanced 2 sequences" in said
    before, after = saved_machine.hash_tables(), newer_target.hash_tables()
    # The sequences were advanced and the one-time keys left out, as in any set that is older than its clients.
    cured = {"events_stream_seq", "odd Name's", "e2e_one_time_keys_json"}
    assert {name for name in before if before[name] != after[name]} == cured
    assert newer_target.can_start
    # Nothing of the older one is used any more: this one makes sets of its own, and drills with them.
    newer_target.succeed("backup", "now")
    newer_target.succeed("backup", "drill")


def test_a_set_of_18_is_refused_by_17(newer: Machine, old_machine: Machine, tmp_path: Path) -> None:
    """The older PostgreSQL cannot read it: nothing is changed."""
    old_machine.succeed(*_MOVE)
    newer.succeed(*_LOAD)
    newer.succeed("backup", "now")
    target = make_machine(
        tmp_path / "older", old_machine.repository, old_machine.server, copy_of=old_machine
    )
    try:
        target.execute("true")
        before = target.describe()
        code, said = target.run("restore")
        assert (code, "comes from PostgreSQL 18, and here is 17" in said) == (1, True), said
        assert target.describe() == before
    finally:
        target.stop()


def test_a_kill_at_any_step(old_machine: Machine, newer: Machine) -> None:
    """The next run goes on, the older one stays shut, and all is as it was."""
    old_machine.succeed(*_MOVE)
    files, instance = describe_files(old_machine.media), old_machine.instance
    code, why = old_machine.start_server()
    assert (code, "on its way to PostgreSQL 18" in why) == (1, True)
    newer.execute("true")
    event, code = 0, KILL_CODE
    while code == KILL_CODE:
        event += 1
        assert event < 100
        code, said = newer.run(*_LOAD, kill=(event, "record"))
        assert code in {0, KILL_CODE}, said
        with newer.superuser() as superuser:
            record = read_record(superuser, newer.database)
        is_whole = record is not None and record.restoring is None
        assert newer.can_start == is_whole
        if is_whole:
            break
    assert event > 8
    assert not old_machine.can_start
    assert newer.hash_tables() == old_machine.hash_tables()
    assert (newer.ask(_KEYS), newer.ask(_POSITION)) == (1, 500)
    assert (describe_files(newer.media), newer.instance) == (files, instance)
    assert "is here already" in newer.succeed(*_LOAD)


@pytest.mark.parametrize("age", ["new", "old"])
def test_a_set_of_the_last_day_is_enough(old_machine: Machine, age: str) -> None:
    """The final set adds little to it; to an older one it may add much, while clients wait."""
    old_machine.succeed("backup", "now")
    if age == "old":
        forge(old_machine, time="2026-01-01T00:00:00+00:00")
    said = old_machine.succeed(*_MOVE)
    assert ("is less than a day old" in said) is (age == "new")
    assert ("making a set while the server runs" in said) is (age == "old")
    assert len(list_snapshots(old_machine, "set")) == (2 if age == "new" else 3)


def test_the_way_back(old_machine: Machine, newer: Machine) -> None:
    """Up to the moment when clients come in the older one takes its data back, and can go on again."""
    old_machine.succeed(*_MOVE)
    newer.succeed(*_LOAD)
    newer.stop()
    old_machine.succeed("backup", "move", "--undo")
    assert old_machine.can_start
    old_machine.succeed(*_MOVE)
    newer.succeed(*_LOAD)
    assert newer.can_start


def test_the_new_data_has_final_sets_of_its_own(old_machine: Machine, newer: Machine) -> None:
    """A later move does not take the final set of the upgrade for its own."""
    old_machine.succeed(*_MOVE)
    newer.succeed(*_LOAD)
    assert newer.can_start
    newer.succeed("backup", "move")
    found = list_snapshots(newer, "final")
    finals = [read_manifest(newer, each["id"]) for each in found if "set" in each["tags"]]
    assert sorted(
        (each["postgres_version"].partition(".")[0], each["epoch"]) for each in finals
    ) == [("17", 1), ("18", 2)]


@pytest.mark.parametrize("obstacle", ["background updates", "disk", "moved"])
def test_what_forbids_an_upgrade(old_machine: Machine, obstacle: str) -> None:
    """It is said before the fence, and nothing is changed."""
    machine, sentence = old_machine, "Synapse is still rebuilding its tables (1 to go, an_index"
    if obstacle == "background updates":
        with machine.superuser(machine.database) as superuser:
            superuser.execute("CREATE TABLE background_updates AS SELECT 'an_index' AS update_name")
    elif obstacle == "disk":
        sentence = "a second database needs"
        small = {"STATE_DIRECTORY": "/small"}
        machine = replace(
            machine,
            environ=machine.environ | small,
            options=("--tmpfs=/small:size=4m",),
            containers=[],
        )
    else:
        sentence = "this server moved to another machine"
        machine.succeed("backup", "move")
    try:
        machine.execute("true")
        before = machine.describe()
        code, said = machine.run(*_MOVE)
        assert (code, sentence in said) == (1, True), said
        assert machine.describe() == before
    finally:
        if obstacle == "disk":
            machine.stop()


def test_only_the_final_set_of_these_files(newer_target: Machine) -> None:
    """A set that is not the last state would lack what these files have: nothing is changed."""
    newer_target.execute("true")
    before = newer_target.describe()
    code, said = newer_target.run(*_LOAD)
    assert (code, "is not the final one of the data of this folder" in said) == (1, True), said
    assert newer_target.describe() == before
