"""A PostgreSQL that ends in the middle of a dump, or whose disk has rotted, costs no older set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Self

import pytest

from bundle_helper.backup import routine, sets
from bundle_helper.backup.manifest import SetManifest
from bundle_helper.errors import HelperError
from tests.helper.backup.conftest import Place, lay_out
from tests.helper.backup.own_server import OwnServer, run_own_server
from tests.helper.backup.waiting_dump import start_waiting
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.engine


class Later(datetime):
    """The clock of a night when the sets of today are old enough to be deleted."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp((datetime.now(tz) + timedelta(days=3)).timestamp(), tz)


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    """One server for the tests of this module, which leave it running."""
    with run_own_server() as server:
        yield server


@pytest.fixture
def shaken(folder: Place, server: OwnServer) -> Place:
    """A server whose only set is so old that the next good one would delete it."""
    lay_out(folder, server)
    folder.environ["BACKUP_KEEP"] = "daily=1 weekly=0 monthly=0"
    return folder


def perform(place: Place) -> SetManifest:
    """Do what the service does at night."""
    return routine.perform(place.settings, "scheduled", place.progress)


def list_manifests(place: Place) -> list[SetManifest]:
    """Return the manifests of the complete sets."""
    return [found.manifest for found in sets.list_sets(place.repository)]


def test_the_server_is_killed_in_the_dump(shaken: Place, server: OwnServer) -> None:
    """With all of its sessions; it recovers, and the next set is whole."""
    before = perform(shaken)
    with start_waiting(shaken, perform) as waiting:
        server.kill()
        with pytest.raises(HelperError, match=r"[Nn]o set was made"):
            waiting.outcome.result(PATIENCE)
        server.start()
    assert list_manifests(shaken) == [before]
    assert len(shaken.repository.snapshots()) == 2
    after = perform(shaken)
    assert list_manifests(shaken) == [after, before]


def test_a_page_that_has_rotted(
    shaken: Place, server: OwnServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its checksum PostgreSQL refuses it, so there is no set, and old ones are not deleted."""
    before = perform(shaken)
    with shaken.connect() as database:
        row = database.execute("SELECT pg_relation_filepath('events')").fetchone()
    assert row
    # With everything on disk, as a server that has rested.
    with shaken.connect() as database:
        database.execute("CHECKPOINT")
    server.kill()
    server.damage(row[0], 3 * 8192 + 6000)
    server.start()
    monkeypatch.setattr(routine, "datetime", Later)
    with pytest.raises(HelperError, match=r"invalid page in block 3"):
        perform(shaken)
    assert list_manifests(shaken) == [before]
    with shaken.connect() as database:
        database.execute("DROP TABLE events")
    after = perform(shaken)
    assert list_manifests(shaken) == [after]
