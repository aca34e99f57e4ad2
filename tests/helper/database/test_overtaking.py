"""A copy that gave way neither writes nor sends: its database is shut until it holds the claim again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from bundle_helper.backup.claim_watch import ClaimWatch
from bundle_helper.claim.memory import ClaimMemory
from bundle_helper.claim.rules import Standing
from bundle_helper.database.fence import fence
from bundle_helper.database.instance import InstanceRecord, Moved, read_record, write_record
from tests.helper.database.place import Place

pytestmark = pytest.mark.engine
Stand = Callable[[Standing], None]


@pytest.fixture
def stand(place: Place, tmp_path: Path) -> Stand:
    """Let the helper have noted where this copy stands, once its data has been made."""
    directory = tmp_path / "claim"
    directory.mkdir()
    place.environ["CLAIM_DIRECTORY"] = str(directory)
    assert place.run()[0] == 0

    def note(standing: Standing) -> None:
        record = read(place)
        ClaimMemory(instance=record.hash, epoch=record.epoch, standing=standing).save(directory)

    return note


def read(place: Place) -> InstanceRecord:
    """Return what stands beside the database."""
    with place.superuser() as superuser:
        record = read_record(superuser, place.name)
    assert record is not None
    return record


def can_log_in(place: Place) -> bool:
    """Say whether Synapse's role reaches its database."""
    try:
        place.log_in(Path(place.environ["ROLE_PASSWORD_FILE"]).read_text().strip())
    except psycopg.OperationalError as error:
        assert "not permitted to log in" in str(error)  # noqa: PT017
        return False
    return True


def test_the_database_is_shut_when_the_copy_gives_way(place: Place, stand: Stand) -> None:
    """Sessions end, new ones are refused, and the sentence says why and what to type."""
    said: list[str] = []
    watch = ClaimWatch(place.settings, said.append)
    stand(Standing.HELD)
    watch.look()
    assert (said, can_log_in(place)) == ([], True)
    password = Path(place.environ["ROLE_PASSWORD_FILE"]).read_text().strip()
    with psycopg.connect(
        host=place.server.host,
        port=place.server.port,
        user=place.name,
        dbname=place.name,
        password=password,
        autocommit=True,
    ) as session:
        stand(Standing.DOWN)
        watch.look()
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT")
    assert not can_log_in(place)
    assert "docker compose exec helper claim take example.org" in said[0]
    watch.look()
    assert len(said) == 1


def test_a_start_leaves_it_shut_and_the_helper_can_run(place: Place, stand: Stand) -> None:
    """The bootstrap succeeds, so that the helper starts, which takes the name back; its report says why."""
    stand(Standing.DOWN)
    ClaimWatch(place.settings, print).look()
    code, said = place.run()
    assert (code, "another copy of this server has claimed its name" in said) == (0, True)
    assert not can_log_in(place)
    report = place.report()
    assert (report["proof"], report["instance"]) == (None, read(place).hash)
    assert "claim take example.org" in str(report["problem"])


def test_a_lost_memory_does_not_open_it(place: Place, stand: Stand) -> None:
    """Only a copy that holds the claim may write; one that does not know has to ask first."""
    stand(Standing.DOWN)
    ClaimWatch(place.settings, print).look()
    (Path(place.environ["CLAIM_DIRECTORY"]) / "memory.json").unlink()
    assert place.run()[0] == 0
    assert not can_log_in(place)


def test_it_opens_by_itself_when_the_name_is_taken_back(place: Place, stand: Stand) -> None:
    """After `claim take` the running service opens it, in the same epoch."""
    before, said = read(place), list[str]()
    watch = ClaimWatch(place.settings, said.append)
    for standing, opened in ((Standing.DOWN, False), (Standing.NEW, False), (Standing.HELD, True)):
        stand(standing)
        watch.look()
        assert can_log_in(place) is opened
    assert "opened Synapse's database" in said[-1]
    assert read(place) == before


def test_a_start_opens_it_when_the_name_is_taken_back(place: Place, stand: Stand) -> None:
    """Without the service, `docker compose up -d` opens it."""
    stand(Standing.DOWN)
    ClaimWatch(place.settings, print).look()
    stand(Standing.HELD)
    code, said = place.run()
    assert (code, "opened Synapse's database" in said) == (0, True)
    assert can_log_in(place)
    assert place.report()["problem"] is None


def test_what_other_data_remembered_shuts_nothing(place: Place, stand: Stand) -> None:
    """After a restore the memory is still that of the data before it."""
    stand(Standing.DOWN)
    with place.superuser() as superuser:
        write_record(superuser, place.name, InstanceRecord(id="0" * 32, epoch=2))
    ClaimWatch(place.settings, print).look()
    assert can_log_in(place)


def test_a_server_that_moved_stays_moved(place: Place, stand: Stand) -> None:
    """The reason of the fence is not exchanged, and the claim does not lift it."""
    moved = Moved(time="2026-11-27T08:00:00+00:00", set="")
    with place.superuser() as superuser:
        fence(superuser, place.settings, moved)
    watch = ClaimWatch(place.settings, print)
    for standing in (Standing.DOWN, Standing.HELD):
        stand(standing)
        watch.look()
        assert (read(place).moved, read(place).overtaken) == (moved, None)
    assert not can_log_in(place)


def test_what_fails_is_tried_again(place: Place, stand: Stand) -> None:
    """While a bootstrap, move or restore runs nothing happens; the next look does it."""
    said: list[str] = []
    watch = ClaimWatch(place.settings, said.append)
    stand(Standing.DOWN)
    with place.superuser() as superuser:
        superuser.execute("SELECT pg_advisory_lock(%s)", (0x53594E4150534542,))
        watch.look()
        assert "has held its lock" in said[-1]
        assert can_log_in(place)
    watch.look()
    assert not can_log_in(place)
