"""`synapse-bundle update`: what it says first, what it asks, and when a timer may call it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bundle_helper.updates import update_rows
from synapse_bundle import locking
from synapse_bundle.updating import automatic, update_journal
from tests.generator.updating import NEW, OLD, Place, make_place

HOLE = {"Synapse": "Synapse 1.163.2: SECURITY: versions before 1.164.0 have known holes"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return make_place(tmp_path, monkeypatch)


def test_the_plan_comes_first(place: Place) -> None:
    """Images from and to, what is rebuilt, the downtime, the way back; without a terminal nothing more."""
    place.release("v1.164.0")
    before = place.world
    done = place.type()
    assert done.exit_code == 2
    assert f"synapse: {OLD} -> {NEW}" in done.output
    assert "postgres: postgres:18-trixie (pulled again)" in done.output
    assert "helper, apache, backup: built anew" in done.output
    assert "It has not been measured yet" in done.output
    assert "The way back: by image alone, as long as" in done.output
    assert "reads it up to schema 94; otherwise by restoring the set" in done.output
    assert "Pass --yes." in done.output
    assert place.world == before


def test_it_says_how_it_ended(place: Place) -> None:
    """Exit code 0 if it stands, 1 if the old images run again; the next plan has the downtime."""
    place.release("v1.164.0")
    done = place.type("--yes")
    assert done.exit_code == 0, done.output
    assert "The update stands. The last update took the server away for 0 s at most." in done.output
    place.release("v1.164.1", starts=False)
    done = place.type("--yes")
    assert done.exit_code == 1
    assert "The update did not stand" in done.output
    assert place.type("--back").exit_code == 2
    done = place.type("--back", "--yes")
    assert done.exit_code == 0, done.output
    assert "everything since then is lost" in done.output
    assert place.type("--back", "--yes").exit_code == 1


def test_without_a_set_the_reason_is_named(place: Place) -> None:
    """The way back is then by image alone."""
    done = place.type("--without-set")
    assert "There is no set to restore otherwise: you passed --without-set." in done.output
    assert "No set is made." in done.output
    assert place.type("--without-set", "--yes").exit_code == 0
    assert "set" not in place.world.calls


def test_a_cut_off_update_is_finished_or_taken_back(place: Place) -> None:
    """Nothing is asked: it has begun."""
    place.release("v1.164.0")
    assert place.cut_off(20)
    done = place.type("--yes")
    assert "An update was cut off; what follows finishes it." in done.output
    assert done.exit_code == 0, done.output
    place.release("v1.164.1")
    assert place.cut_off(20)
    done = place.type("--back")
    assert done.exit_code == 0, done.output
    assert "Went back" in done.output
    assert update_journal.read(place.bundle, "engine").underway is None


def test_what_keeps_it_from_beginning(place: Place) -> None:
    """A backup that runs, a server that does not, a rotation that was cut off; nothing changes."""
    before = place.world
    with locking.lock_folder(place.bundle):
        assert "is in use: a backup runs" in place.type("--yes").output
    rotation = place.bundle / "secrets" / ".rotation.json"
    rotation.write_text('{"names": ["form_secret"], "old": {}, "new": {}}')
    assert "Finish it first: synapse-bundle rotate form_secret" in place.type("--yes").output
    rotation.unlink()
    assert place.world == before
    with place.change() as world:
        world.containers = {}
    done = place.type("--yes")
    assert "Nothing of the bundle runs" in done.output
    assert done.exit_code == 1


def write_automatic(at: datetime) -> str:
    return f'updates: {{list: "https://example.org/l", automatic: security, at: "{at:%H:%M}"}}\n'


def test_a_timer_installs_only_security_and_once(place: Place) -> None:
    """At its hour, and only for what has known holes; what it could not cure is not tried again."""
    assert "Automatic updates are not turned on" in place.type("--automatic").output
    now = datetime.now(UTC)
    place.settings = write_automatic(now + timedelta(hours=3))
    done = place.type("--automatic")
    # Cron would send a mail for whatever is printed, every hour.
    assert (done.exit_code, done.output) == (0, "")
    place.settings = write_automatic(now)
    with place.change() as world:
        world.holes = {automatic.LIST: "it cannot be had"}
    done = place.type("--automatic")
    assert (done.exit_code, done.output) == (0, "")
    assert place.world.calls == []
    with place.change() as world:
        world.holes = {**HOLE, "PostgreSQL": ""}
        registry, world.registry = world.registry, {}
    # A night without a registry is not what it was tried for.
    assert "cannot be pulled" in place.type("--automatic").output
    with place.change() as world:
        world.registry = registry
    done = place.type("--automatic")
    assert (done.exit_code, "The update stands." in done.output) == (0, True), done.output
    done = place.type("--automatic")
    assert (done.exit_code, done.output) == (0, "")
    assert place.world.calls.count("start") == 1
    place.release("v1.164.0")
    assert "The update stands." in place.type("--automatic").output


@pytest.mark.parametrize(
    ("at", "now", "due"),
    [
        ("04:00", (4, 0), True),
        ("04:00", (4, 59), True),
        ("04:00", (5, 0), False),
        ("04:00", (3, 59), False),
        ("23:30", (0, 29), True),
        ("23:30", (0, 30), False),
    ],
)
def test_the_hour(at: str, now: tuple[int, int], due: bool) -> None:
    """It begins at the time in the settings, also across midnight."""
    moment = datetime(2026, 11, 27, *now, tzinfo=UTC)
    assert automatic.is_due(at, moment) == due


def test_the_row_of_the_list_has_the_helper_s_name() -> None:
    """A list that cannot be had is no update."""
    assert update_rows._LIST == automatic.LIST
