"""What stands beside the database and forbids its start: a move, and a restore that was cut off."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bundle_helper.database.catalog import read_role
from bundle_helper.database.instance import InstanceRecord, Moved, read_record, write_record
from tests.helper.database.place import Place

pytestmark = pytest.mark.engine
_OLD = "CREATE TABLE synapse_bundle_instance (database text PRIMARY KEY, id text NOT NULL)"
_COMMANDS = ((), ("start-empty", "example.org"))


def mark(place: Place, **values: object) -> InstanceRecord:
    """Change what stands beside the database."""
    with place.superuser() as superuser:
        record = read_record(superuser, place.name)
        assert record is not None
        record = replace(record, **values)  # type: ignore[arg-type]
        write_record(superuser, place.name, record)
    return record


def read(place: Place) -> InstanceRecord | None:
    """Return what stands beside the database."""
    with place.superuser() as superuser:
        return read_record(superuser, place.name)


def test_the_first_start_is_epoch_one(place: Place) -> None:
    """A new server was never taken over, has not moved, and is whole."""
    place.run()
    chosen = place.instance.read_text().strip()
    assert read(place) == InstanceRecord(id=chosen, epoch=1, moved=None, restoring=None)


def test_what_stands_beside_the_database_is_kept(place: Place) -> None:
    """Each value is read back, and a later start changes none of them."""
    place.run()
    record = mark(place, epoch=7)
    assert place.run()[0] == 0
    assert read(place) == record


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_server_that_moved_does_not_start(place: Place, command: tuple[str, ...]) -> None:
    """The refusal says since when and the way back, and the role stays shut out."""
    place.run()
    record = mark(place, moved=Moved(time="2026-11-27T08:00:00+00:00", set="final-1"))
    with place.superuser() as superuser:
        superuser.execute(f'ALTER ROLE "{place.name}" NOLOGIN')
    code, said = place.run(*command)
    assert (code, "moved to another machine on 2026-11-27T08:00:00+00:00" in said) == (1, True)
    assert "docker compose run --rm backup move --undo" in said
    assert read(place) == record
    with place.superuser() as superuser:
        role = read_role(superuser, place.name)
    assert role is not None
    assert not role.login


def test_a_server_that_moved_does_not_start_under_a_lost_folder(place: Place) -> None:
    """The mark is in the data: an empty folder beside it changes nothing."""
    place.run()
    mark(place, moved=Moved(time="2026-11-27T08:00:00+00:00", set=""))
    place.instance.write_text("\n")
    code, said = place.run()
    assert (code, "moved" in said, place.instance.read_text()) == (1, True, "\n")


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_half_restored_server_does_not_start(place: Place, command: tuple[str, ...]) -> None:
    """What a restore left half done is named with the command that completes it."""
    place.run()
    record = mark(place, restoring="20261127-080000")
    code, said = place.run(*command)
    assert (code, "restore of the set 20261127-080000 was interrupted" in said) == (1, True)
    assert "docker compose run --rm restore" in said
    assert read(place) == record


def test_a_folder_without_its_data_is_told_to_restore_first(place: Place) -> None:
    """The first way on is a restore."""
    place.run()
    place.drop()
    _, said = place.run()
    assert said.index("docker compose run --rm restore") < said.index("start-empty")


def test_a_table_from_before_the_columns_is_read_and_then_given_them(place: Place) -> None:
    """An older bundle's data starts as ever, and can be marked."""
    place.run()
    chosen = place.instance.read_text().strip()
    with place.superuser() as superuser, superuser.transaction(force_rollback=True):
        superuser.execute("DROP TABLE synapse_bundle_instance")
        superuser.execute(_OLD)
        superuser.execute(
            "INSERT INTO synapse_bundle_instance VALUES (%s, %s)", (place.name, chosen)
        )
        record = InstanceRecord(id=chosen, epoch=1)
        assert read_record(superuser, place.name) == record
        marked = replace(record, epoch=2, moved=Moved(time="now", set="a"), restoring="b")
        write_record(superuser, place.name, marked)
        assert read_record(superuser, place.name) == marked
