"""A server moves to another machine, or comes back; never can both start."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from bundle_helper.claim.memory import ClaimMemory
from bundle_helper.claim.rules import Standing
from bundle_helper.database.instance import InstanceRecord, read_record, write_record
from tests.helper.machines import KILL_CODE, Machine
from tests.helper.repositories import list_snapshots, read_manifest

pytestmark = pytest.mark.engine
_KEYS = "SELECT count(*) FROM e2e_one_time_keys_json"
_POSITION = "SELECT last_value FROM events_stream_seq"


def read(machine: Machine) -> InstanceRecord:
    """Return what stands beside the database."""
    with machine.superuser() as superuser:
        record = read_record(superuser, machine.database)
    assert record is not None
    return record


def has_final_set(machine: Machine) -> bool:
    """Say whether a restore would find a final set that counts."""
    return any("final" in line for line in machine.succeed("backup", "list").splitlines())


def test_a_server_moves(old_machine: Machine, new_machine: Machine) -> None:
    """The final set is the newest state: nothing is advanced, nothing is thrown away."""
    said = old_machine.succeed("backup", "move")
    assert "docker compose run --rm restore" in said
    code, why = old_machine.start_server()
    assert (code, "this server moved to another machine" in why) == (1, True)
    said = new_machine.succeed("restore")
    assert "advanced" not in said
    assert new_machine.hash_tables() == old_machine.hash_tables()
    assert (new_machine.ask(_KEYS), new_machine.ask(_POSITION)) == (1, 500)
    assert new_machine.can_start
    assert not old_machine.can_start


def test_a_set_is_made_before_the_fence(old_machine: Machine) -> None:
    """The long part happens while the server runs; the final set alone has one-time keys."""
    old_machine.succeed("backup", "move")
    manifests = [read_manifest(old_machine, s["id"]) for s in list_snapshots(old_machine, "set")]
    kinds = [(manifest["kind"], manifest["one_time_keys"]) for manifest in manifests]
    assert kinds == [("manual", False), ("final", True)]
    assert read(old_machine).moved is not None


# Says who can still reach the database when the final set is begun.
_LOOK_BEFORE_THE_FINAL_SET = """
import psycopg
from bundle_helper.database import connection, fence, instance
from bundle_helper.move import departure
make_set = departure.make_set
def look_first(settings, *arguments):
    database = settings.database
    try:
        connection.connect(
            database, database.database_role, database.role_password, database.database_name
        )
    except psycopg.OperationalError as error:
        print(error)
    with connection.connect_as_superuser(database) as superuser:
        print("sessions:", fence.count_sessions(superuser, database.database_role))
        print("record:", instance.read_record(superuser, database.database_name))
    return make_set(settings, *arguments)
departure.make_set = look_first
"""


def test_nothing_is_written_after_the_final_set_is_begun(old_machine: Machine) -> None:
    """The fence stands before it: no session is left, no new one is let in, and the reason is noted."""
    password = (old_machine.folder / "secrets" / "synapse_database_password").read_text().strip()
    session = psycopg.connect(
        host=old_machine.server.host,
        port=old_machine.server.port,
        user=old_machine.database,
        dbname=old_machine.database,
        password=password,
        autocommit=True,
    )
    said = old_machine.succeed("backup", "move", code=_LOOK_BEFORE_THE_FINAL_SET)
    assert "not permitted to log in" in said
    assert "sessions: 0" in said
    assert "moved=Moved(time=" in said
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT")


def test_the_final_set_is_the_newest_state_only_once(
    old_machine: Machine, new_machine: Machine
) -> None:
    """Who restores it a second time gets an old database, which is made safe for its clients."""
    old_machine.succeed("backup", "move")
    new_machine.succeed("restore")
    new_machine.stop()
    for path in sorted(new_machine.media.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    said = new_machine.succeed("restore")
    assert "advanced 2 sequences" in said
    assert (new_machine.ask(_KEYS), new_machine.ask(_POSITION)) == (0, 1_000_500)
    assert read(new_machine).epoch == 3


def test_a_move_again_names_the_final_set(old_machine: Machine) -> None:
    """A second time nothing is made and nothing changes."""
    old_machine.succeed("backup", "move")
    before = old_machine.describe()
    said = old_machine.succeed("backup", "move")
    assert "is complete, and this server does not start here any more" in said
    assert old_machine.describe() == before


def test_the_way_back(old_machine: Machine, new_machine: Machine) -> None:
    """Before a takeover one command is enough, and the final set is void from then on."""
    old_machine.succeed("backup", "move")
    old_machine.succeed("backup", "move", "--undo")
    assert not has_final_set(old_machine)
    assert old_machine.can_start
    assert "nothing to undo" in old_machine.succeed("backup", "move", "--undo")
    # The set from before the fence is an old one.
    assert "advanced" in new_machine.succeed("restore")


def test_no_way_back_after_a_takeover(old_machine: Machine, new_machine: Machine) -> None:
    """Only who types the server name can have two copies."""
    old_machine.succeed("backup", "move")
    new_machine.succeed("restore")
    before = old_machine.describe()
    code, said = old_machine.run("backup", "move", "--undo")
    assert (code, f"(instance {new_machine.instance})" in said) == (1, True)
    code, _ = old_machine.run("backup", "move", "--undo", "--override", "example.com")
    assert code == 2
    assert old_machine.describe() == before
    old_machine.succeed("backup", "move", "--undo", "--override", "example.org")
    assert old_machine.can_start
    assert read(old_machine).epoch == 3
    old_machine.succeed("backup", "now")
    # Now the other one has been taken over.
    assert new_machine.run("backup", "now")[0] == 1


def test_no_way_back_without_the_repository(old_machine: Machine) -> None:
    """Whether somebody has taken over can not be guessed."""
    old_machine.succeed("backup", "move")
    hidden = old_machine.repository / "config"
    hidden.rename(hidden.with_name("hidden"))
    code, said = old_machine.run("backup", "move", "--undo")
    assert (code, "cannot be found out" in said, "--override example.org" in said) == (
        1,
        True,
        True,
    )
    assert read(old_machine).moved is not None
    old_machine.succeed("backup", "move", "--undo", "--override", "example.org")
    assert old_machine.can_start


def test_a_failure_lifts_the_fence(old_machine: Machine) -> None:
    """If the final set cannot be made, the server runs on and the operator is told."""
    failing = """
from bundle_helper.backup import creation
from bundle_helper.errors import HelperError
store = creation._store_files
def fail(repository, manifest, *others):
    if manifest.kind == "final":
        raise HelperError("the disk is full")
    return store(repository, manifest, *others)
creation._store_files = fail
"""
    code, said = old_machine.run("backup", "move", code=failing)
    assert code == 1
    assert "the server did not move, and runs on here: the disk is full" in said
    assert read(old_machine).moved is None
    password = (old_machine.folder / "secrets" / "synapse_database_password").read_text().strip()
    psycopg.connect(
        host=old_machine.server.host,
        port=old_machine.server.port,
        user=old_machine.database,
        dbname=old_machine.database,
        password=password,
    ).close()


def test_a_kill_at_any_step_of_a_move(old_machine: Machine) -> None:
    """Either side can be started, never both, and the move can be completed."""
    event, code = 0, KILL_CODE
    while code == KILL_CODE:
        event += 1
        assert event < 100
        code, said = old_machine.run("backup", "move", kill=(event, "record"))
        assert code in {0, KILL_CODE}, said
        # Before its first change was committed all is as it was.
        assert old_machine.can_start == (read(old_machine).moved is None)
        assert not (has_final_set(old_machine) and old_machine.can_start)
    assert event > 8
    assert has_final_set(old_machine)
    assert not old_machine.can_start
    assert len(list_snapshots(old_machine, "final")) >= 2


def test_a_kill_at_any_step_of_the_way_back(old_machine: Machine) -> None:
    """Until the fence is lifted the final set is void or the old side is shut."""
    old_machine.succeed("backup", "move")
    event, code = 0, KILL_CODE
    while code == KILL_CODE:
        event += 1
        assert event < 60
        code, said = old_machine.run("backup", "move", "--undo", kill=(event, "start"))
        assert code in {0, KILL_CODE}, said
        assert not (has_final_set(old_machine) and old_machine.can_start)
    assert event > 8
    assert old_machine.can_start


def test_an_overtaken_copy_neither_moves_nor_makes_sets(old_machine: Machine) -> None:
    """Only the claim opens it; once the DNS token is given up, the way back of a move does."""
    claim = old_machine.state / "claim"
    claim.mkdir()
    with_claim = {"CLAIM_DIRECTORY": "/state/claim"}
    record = read(old_machine)
    ClaimMemory(instance=record.hash, epoch=record.epoch, standing=Standing.DOWN).save(claim)
    for command in (("now",), ("move",)):
        code, said = old_machine.run("backup", *command, environ=with_claim)
        assert (code, "claim take example.org" in said) == (1, True)
    with old_machine.superuser() as superuser:
        superuser.execute(f'ALTER ROLE "{old_machine.database}" NOLOGIN')
        write_record(
            superuser, old_machine.database, replace(record, overtaken="2026-11-27T08:00:00+00:00")
        )
    before = old_machine.describe()
    code, said = old_machine.run("backup", "move", "--undo", environ=with_claim)
    assert (code, "claim take example.org" in said) == (1, True)
    code, said = old_machine.run("backup", "now")
    assert (code, "backup move --undo" in said) == (1, True)
    assert old_machine.describe() == before
    old_machine.succeed("backup", "move", "--undo")
    assert read(old_machine) == record
    assert old_machine.can_start


def test_a_retired_server_neither_starts_nor_moves_nor_makes_sets(old_machine: Machine) -> None:
    """Everything names its last set, and shutting it again changes nothing."""
    old_machine.succeed("backup", "now")
    name = old_machine.succeed("backup", "list").split()[0]
    old_machine.succeed("backup", "retire", name)
    before = old_machine.describe()
    code, why = old_machine.start_server()
    assert (code, "this server was retired on" in why) == (1, True)
    assert f"docker compose run --rm restore {name}`" in why
    for words in (["backup", "now"], ["backup", "move"], ["restore"]):
        code, said = old_machine.run(*words)
        assert (code, "this server was retired on" in said) == (1, True), said
    old_machine.succeed("backup", "retire", name)
    assert old_machine.describe() == before


def test_a_server_that_moved_is_not_retired_here(old_machine: Machine) -> None:
    """It lives on the other machine; the way back of its move stays open."""
    old_machine.succeed("backup", "move")
    before = old_machine.describe()
    code, said = old_machine.run("backup", "retire")
    assert (code, "so it does not end here" in said) == (1, True), said
    assert old_machine.describe() == before
