"""The database of a server goes back to its own set, as after an update that failed; everything else stays."""

from __future__ import annotations

import fcntl
import os

import psycopg
import pytest

from bundle_helper.database.instance import InstanceRecord, read_record
from tests.helper.machines import KILL_CODE, Machine

pytestmark = pytest.mark.engine


def read_own(machine: Machine) -> InstanceRecord:
    """Return the record beside the database."""
    with machine.superuser() as superuser:
        record = read_record(superuser, machine.database)
    assert record
    return record


def make_set(machine: Machine) -> str:
    """Make a set and return its name."""
    machine.succeed("backup", "now")
    return machine.succeed("backup", "list").split()[0]


def spoil(machine: Machine) -> None:
    """Change what an update that failed may have changed."""
    with machine.superuser(machine.database) as superuser:
        superuser.execute("UPDATE schema_compat_version SET compat_version = 999")
        superuser.execute("DELETE FROM events")


def test_the_database_goes_back_and_nothing_else(old_machine: Machine) -> None:
    """The same server, in the same epoch, with every file, also the ones that came after the set."""
    before = read_own(old_machine)
    compatible = old_machine.ask("SELECT compat_version FROM schema_compat_version")
    name = make_set(old_machine)
    later = old_machine.upload(b"uploaded after the set")
    spoil(old_machine)
    said = old_machine.succeed("restore", "--database", name)
    assert "LOST: " in said
    assert "whoever signed in after that has to sign in again" in said
    assert old_machine.ask("SELECT compat_version FROM schema_compat_version") == compatible
    assert old_machine.ask("SELECT count(*) FROM events") == 500
    # Clients have seen higher numbers, and one-time keys have been given out.
    assert int(str(old_machine.ask("SELECT last_value FROM events_stream_seq"))) > 1_000_000
    assert old_machine.ask("SELECT count(*) FROM e2e_one_time_keys_json") == 0
    assert later.read_bytes() == b"uploaded after the set"
    assert read_own(old_machine) == before
    assert old_machine.can_start
    # The server goes on making sets.
    make_set(old_machine)


def test_what_is_lost_is_counted(old_machine: Machine) -> None:
    """An event that was stored after the set, whenever it was received; deleted ones hide none."""
    name = make_set(old_machine)
    store = "INSERT INTO events VALUES (501, '$501', '', %s)"
    with old_machine.superuser(old_machine.database) as superuser:
        superuser.execute(store, (501,))
    assert "LOST: 1 events since" in old_machine.succeed("restore", "--database", name)
    with old_machine.superuser(old_machine.database) as superuser:
        superuser.execute(store, (4_000_000_000_000,))
        superuser.execute("DELETE FROM events WHERE stream_ordering < 100")
    assert "LOST: 1 events since" in old_machine.succeed("restore", "--database", name)


def test_what_it_is_not_for(old_machine: Machine, new_machine: Machine) -> None:
    """A set of other data, a name that is none, a running Synapse: nothing changes."""
    name = make_set(old_machine)
    code, said = new_machine.run("restore", "--database", name)
    assert (code, "was not made of the data that is here" in said) == (1, True), said
    assert old_machine.run("restore", "--database", "20200101-0000-0000")[0] == 1
    before = old_machine.describe()
    password = (old_machine.folder / "secrets" / "synapse_database_password").read_text().strip()
    with psycopg.connect(
        host=old_machine.server.host,
        port=old_machine.server.port,
        user=old_machine.database,
        password=password,
        dbname=old_machine.database,
    ):
        code, said = old_machine.run("restore", "--database", name)
    assert (code, "Synapse is running. Nothing was changed." in said) == (1, True), said
    assert old_machine.describe() == before


def test_a_kill_at_any_step_is_completed_by_the_next_run(old_machine: Machine) -> None:
    """Each run is killed one event later than the one before, in the state that that one left."""
    name, own = make_set(old_machine), read_own(old_machine)
    spoil(old_machine)
    event, code, said = 0, KILL_CODE, ""
    while code == KILL_CODE:
        event += 1
        assert event < 100
        code, said = old_machine.run("restore", "--database", name, kill=(event, "record"))
        record = read_own(old_machine)
        assert (record.id, record.epoch) == (own.id, own.epoch)
        if record.restoring:
            assert record.restoring == name
            assert not old_machine.can_start
        elif event > 1:
            # The very last statement was the one after which it was killed.
            break
    assert code in {0, KILL_CODE}, said
    assert event > 10
    assert old_machine.can_start
    assert old_machine.ask("SELECT count(*) FROM events") == 500
    assert len([path for path in old_machine.media.rglob("*") if path.is_file()]) == 4


def test_no_set_is_made_while_an_update_runs(old_machine: Machine) -> None:
    """The update holds the folder; when it has ended, also by a kill, the next set is made."""
    folder = os.open(old_machine.folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    code, said = old_machine.run("backup", "now")
    assert (code, "`synapse-bundle update` is running" in said) == (1, True), said
    os.close(folder)
    make_set(old_machine)
