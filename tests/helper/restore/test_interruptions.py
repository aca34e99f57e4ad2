"""A restore that is cut off anywhere starts nothing, and the next run completes it."""

from __future__ import annotations

import pytest

from bundle_helper.database.instance import read_record
from tests.helper.machines import KILL_CODE, Machine
from tests.helper.repositories import list_snapshots

pytestmark = pytest.mark.engine


def list_names(machine: Machine) -> set[str]:
    """Return the databases of a machine, the one that is being restored included."""
    with machine.superuser() as superuser:
        rows = superuser.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (machine.database,)
        ).fetchall()
    return {name for (name,) in rows}


def test_a_kill_at_any_step_is_completed_by_the_next_run(target: Machine) -> None:
    """Each run is killed one event later than the one before, in the state that that one left."""
    target.execute("true")
    event, code, ids = 0, KILL_CODE, set()
    while code == KILL_CODE:
        event += 1
        assert event < 100
        code, said = target.run("restore", kill=(event, "start"))
        if code == KILL_CODE:
            with target.superuser() as superuser:
                record = read_record(superuser, target.database)
            if record is None:
                # Before its first change was committed: all is as it was, but for what it had staged.
                assert "the volumes here are empty" in target.start_server()[1]
                assert list_names(target) <= {f"{target.database}_restoring"}
                assert {path.name for path in target.media.iterdir()} <= {".restoring"}
                continue
            ids.add(record.id)
            if record.restoring:
                refused, why = target.start_server()
                assert (refused, "was interrupted" in why) == (1, True)
            else:
                # The very last statement was the one after which it was killed.
                assert target.can_start
                break
        else:
            assert code == 0, said
    assert event > 15
    assert target.can_start
    assert list_names(target) == {target.database}
    assert {path.name for path in target.media.iterdir()} == {"media_store"}
    # Each run knew that the half-restored data was its own, and recorded one takeover.
    assert len(ids) == 1
    assert len(list_snapshots(target, "takeover")) == 1
    assert target.ask("SELECT count(*) FROM events") == 500
    assert target.ask("SELECT last_value FROM events_stream_seq") == 1_000_500
    assert len([path for path in target.media.rglob("*") if path.is_file()]) == 3


def test_another_set_after_an_interruption(target: Machine) -> None:
    """What a cut-off restore left is replaced whichever set is chosen next."""
    target.execute("true")
    assert target.run("restore", kill=(6, "record"))[0] == KILL_CODE
    (target.media / "left").write_text("half")
    target.succeed("restore")
    assert target.can_start
    assert not (target.media / "left").exists()
