"""An update's journal and steps: whatever the new images do, and wherever it is killed."""

from __future__ import annotations

import itertools
import json
from datetime import timedelta
from pathlib import Path
from stat import S_IMODE

import pytest

from synapse_bundle import pipeline
from synapse_bundle.errors import BundleError
from synapse_bundle.settings import loading
from synapse_bundle.updating import update_journal
from tests.generator.updating import BEGIN, NEW, OLD, Place, identify, make_place

SYNAPSE = "matrixdotorg/synapse"
MARK = "synapse.streams - 1 - ERROR - sync-1 - Bounding token from the future: s9\n"
TRACE = """\
2026 - synapse - 9 - ERROR - GET-1 - failed
Traceback (most recent call last):
  File "x.py", line 1, in f
    raise
psycopg2.errors.UndefinedColumn: column "a" does not exist
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return make_place(tmp_path, monkeypatch)


def test_an_update_that_holds_stands(place: Place) -> None:
    """A set first, then everything is pulled and built; the old images have a name that keeps them."""
    before = place.world
    image = place.release("v1.164.0")
    place.settings = "workers: small\n"
    assert place.update()
    world = place.world
    assert world.calls[0] == "set"
    assert world.containers["synapse"] == world.containers["synapse-generic"] == image
    assert world.containers["apache"] == identify("apache-1")
    assert {f"pull {each}" for each in (NEW, "debian:trixie-slim", "postgres:18-trixie")} < {
        *world.calls
    }
    kept = {i for name, i in world.named.items() if name.startswith("synapse-bundle/kept-")}
    assert kept == {before.named[each] for each in before.named if "debian" not in each}
    ledger = update_journal.read(place.bundle, "engine")
    assert ledger.underway is None
    assert ledger.last
    assert ledger.last.set_name == "set-0"
    assert S_IMODE((place.bundle / update_journal.NAME).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("manners", "says"),
    [
        ({"starts": False}, "synapse does not start"),
        ({"red": ["sign in"]}, "The check failed, and did not before: sign in: is red"),
        ({"log": MARK}, "Bounding token from the future"),
        ({"log": TRACE}, "psycopg2.errors.UndefinedColumn"),
    ],
    ids=["does not start", "fails the check", "goes back in its streams", "fails"],
)
def test_an_image_that_is_wrong_goes_by_itself(
    place: Place, manners: dict[str, object], says: str
) -> None:
    """Files, names and containers are as before; nothing that the update brought is left."""
    before, files = place.world, place.read_files()
    place.release("v1.164.0", **manners)
    place.settings = "workers: small\n"
    assert not place.update()
    assert says in "\n".join(place.said)
    world = place.world
    assert (world.containers, world.named) == (before.containers, before.named)
    assert place.read_files() == files
    assert not (place.bundle / "synapse/workers").exists()
    assert world.restored == 0
    assert update_journal.read(place.bundle, "engine").underway is None


def test_what_was_wrong_before_is_no_reason_to_go_back(place: Place) -> None:
    """A red row and a traceback that the old image had too, or a row that it was not asked for."""
    wrong = {"red": ["backup"], "log": TRACE}
    with place.change() as world:
        world.manners[world.named[OLD]] = wrong
    place.release("v1.164.0", red=["backup", "asked for the first time"], log=TRACE)
    assert place.update()
    assert "note: asked for the first time: is red" in place.said


def test_data_goes_back_where_the_old_image_cannot_read_it(place: Place) -> None:
    """Beyond the old SCHEMA_VERSION the set is restored, and what that costs is said."""
    place.release("v1.164.0", starts=False, schema=[96, 95])
    assert not place.update()
    said = "\n".join(place.said)
    assert "The way back: by restoring the set set-0" in said
    assert "LOST: what was sent, read or changed since the set set-0" in said
    assert (place.world.restored, place.world.compatible) == (1, 84)
    assert place.world.containers["synapse"] == identify(f"old {OLD}")


def test_without_a_set_nobody_starts_what_has_no_way_back(place: Place) -> None:
    """It is known before the start, and asked; a no leaves everything as it was."""
    before = place.world
    place.release("v1.164.0", schema=[96, 95])
    assert not place.update(with_set=False)
    assert "no set to restore" in " ".join(place.said)
    assert not [call for call in place.world.calls if call.startswith("start")]
    assert place.world.named == before.named
    place.answer = True
    assert place.update(with_set=False)
    assert place.world.compatible == 95


def test_a_registry_that_does_not_answer(place: Place) -> None:
    """An image that is here is taken if a person says so, or with --offline; the server is not touched."""
    before = place.world
    with place.change() as world:
        world.registry = {}
    assert not place.update()
    assert "--offline" in " ".join(place.said)
    assert "The server was not touched" in place.said[-1]
    assert (place.world.containers, place.world.named) == (before.containers, before.named)
    place.answer = True
    assert place.update()
    place.release("v1.164.0")
    with place.change() as world:
        world.registry = {}
    place.said.clear()
    assert not place.update()
    assert f"{NEW} cannot be pulled, and is not on this machine." in " ".join(place.said)


def test_offline_pulls_and_builds_nothing(place: Place) -> None:
    """What was loaded before is used; what is missing is named."""
    image = place.release("v1.164.0")
    assert not place.update(offline=True)
    assert NEW in "\n".join(place.said)
    with place.change() as world:
        world.named[NEW] = image
    assert place.update(offline=True)
    assert place.world.containers["synapse"] == image
    assert not [call for call in place.world.calls if call.startswith(("pull", "build"))]


@pytest.mark.parametrize("stands", [False, True])
def test_a_bundle_that_was_written_and_not_started_goes_back_to_what_runs(
    place: Place, *, stands: bool
) -> None:
    """After `generate` compose.yaml names what does not run yet; the old tags come back into it."""
    before = place.world
    place.release("v1.164.0", starts=stands)
    place.settings = "workers: small\n"
    settings = loading.parse(place.settings, "settings.yaml")
    pipeline.write(settings, place.bundle, None, {}, force=False)
    assert place.update() == stands
    if stands:
        place.take_back()
    world = place.world
    assert {name: world.containers[name] for name in before.containers} == before.containers
    assert world.references["synapse"] == world.references["synapse-generic"] == OLD
    # It is still a file of the generator's, so the next run brings the new tag again.
    place.open_update().prepare()


@pytest.mark.parametrize(
    "manners",
    [{}, {"starts": False}, {"red": ["sign in"], "schema": [96, 95]}],
    ids=["holds", "does not start", "holds back data"],
)
def test_a_kill_at_any_moment_is_finished_by_the_next_run(
    place: Place, manners: dict[str, object]
) -> None:
    """Killed before and after anything that the engine does, the next run ends it, one way or the other.

    A set is made once for an update that has begun, and restored again only if that was not finished.
    """
    before, files = place.world, place.read_files()
    image = place.release("v1.164.0", **manners)
    place.settings = "workers: small\n"
    for moment in itertools.count():
        earlier = len(place.world.calls)
        killed = place.cut_off(moment)
        if not killed:
            break
        began = (place.bundle / update_journal.NAME).exists()
        began = began and bool(update_journal.read(place.bundle, "engine").underway)
        sets = len(place.world.sets)
        stands = place.update()
        world = place.world
        assert stands == (not manners)
        assert len(world.sets) == sets + (not began)
        assert update_journal.read(place.bundle, "engine").underway is None
        if stands:
            assert world.containers["synapse"] == image
            place.take_back()
            world = place.world
        assert world.compatible == 84
        assert not is_restored_after_start(world.calls[earlier:])
        assert place.read_files() == files
        assert world.containers == before.containers
        assert {n: world.named[n] for n in before.named} == before.named
        assert not [name for name in world.named if "kept-" in name]
    assert moment > 25


def is_restored_after_start(calls: list[str]) -> bool:
    """Return whether a database was replaced in which people had begun to write again."""
    restored = [number for number, call in enumerate(calls) if call.startswith("restore")]
    return bool(restored) and "start" in calls[restored[0] : restored[-1]]


@pytest.mark.parametrize("manners", [{}, {"starts": False}], ids=["holds", "does not start"])
def test_a_kill_at_any_change_of_a_file_is_finished_by_the_next_run(
    place: Place, manners: dict[str, object]
) -> None:
    """In the middle of the new files, or of the old ones that come back."""
    files, secrets = place.read_files(), {*(place.bundle / "secrets").iterdir()}
    place.release("v1.164.0", **manners)
    place.settings = "workers: small\n"
    for number in itertools.count():
        if not place.cut_off_at_rename(number):
            break
        if place.update():
            place.take_back()
        assert place.read_files() == files
    assert number >= 20
    # What is made once stays for the next time.
    assert {*(place.bundle / "secrets").iterdir()} > secrets


def test_an_update_that_stood_is_taken_back(place: Place) -> None:
    """With the old images, which are still here; a second time there is nothing to take back."""
    before, files = place.world, place.read_files()
    place.release("v1.164.0")
    assert place.update()
    place.passed += timedelta(hours=1)
    place.release("v1.164.1", starts=False)
    assert not place.update()
    place.take_back()
    assert place.read_files() == files
    assert place.world.containers == before.containers
    assert update_journal.read(place.bundle, "engine").last is None


def test_twenty_updates_keep_two_generations_of_images(place: Place) -> None:
    """The last one, and the newest that stood for a week; when the present one has, they go too."""
    first = place.world.named[OLD]
    for number in range(20):
        place.passed += timedelta(hours=1)
        place.release(f"v1.164.{number}")
        assert place.update()
    assert list_synapse_images(place) == {
        OLD: first,
        **{name: identify(name) for name in (f"{SYNAPSE}:v1.164.18", f"{SYNAPSE}:v1.164.19")},
    }
    assert len({image for name, image in place.world.named.items() if "/apache:" in name}) == 1
    kept = {image for name, image in place.world.named.items() if "/kept-" in name}
    assert {identify("apache-19"), first, identify(f"{SYNAPSE}:v1.164.18")} < kept
    assert identify("apache-18") not in kept
    place.passed += timedelta(days=8)
    assert place.update()
    assert set(list_synapse_images(place)) == {f"{SYNAPSE}:v1.164.19"}
    kept = {image for name, image in place.world.named.items() if "/kept-" in name}
    assert identify("apache-20") in kept
    assert identify("apache-19") not in kept


def list_synapse_images(place: Place) -> dict[str, str]:
    """Return the images that have a name of Synapse's own."""
    return {name: i for name, i in place.world.named.items() if name.startswith(SYNAPSE)}


def test_a_folder_from_another_engine_has_no_update_under_way(place: Place) -> None:
    """A set or a copy carries the file; its images are elsewhere."""
    place.release("v1.164.0")
    assert place.cut_off(20)
    assert update_journal.read(place.bundle, "engine").underway
    assert update_journal.read(place.bundle, "another") == update_journal.Ledger(engine="another")


def test_a_damaged_journal_is_named(place: Place) -> None:
    """An edit by hand is no reason to guess."""
    path = place.bundle / update_journal.NAME
    path.write_text("{}")
    with pytest.raises(BundleError, match=r"\.update\.json is damaged"):
        update_journal.read(place.bundle, "engine")
    path.write_text(json.dumps({"format": 2}))
    with pytest.raises(BundleError, match="newer synapse-bundle"):
        update_journal.read(place.bundle, "engine")


def test_a_journal_is_read_as_it_was_written(place: Place) -> None:
    """Every field, moments and files included."""
    place.release("v1.164.0")
    assert place.cut_off(20)
    ledger = update_journal.read(place.bundle, "engine")
    assert ledger.underway
    assert ledger.underway.began == BEGIN
    update_journal.write(place.bundle, ledger)
    assert update_journal.read(place.bundle, "engine") == ledger
