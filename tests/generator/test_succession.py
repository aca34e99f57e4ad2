"""`synapse-bundle upgrade-database`: what it asks for, and that any kill leaves one version that can start."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.generator.runs import read_tree, start
from tests.generator.succeeding import Place, age, make_place

LAST: Final = 8


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A bundle of PostgreSQL 17 that runs, and a copy of it that no test touches."""
    folder = tmp_path_factory.mktemp("succession")
    with start(folder) as runner:
        place = make_place(runner)
        shutil.copytree(runner.directory, folder / "kept")
        yield place


@pytest.fixture
def place(made: Place) -> Place:
    """That bundle as it was."""
    directory = made.runner.directory
    shutil.rmtree(directory)
    shutil.copytree(directory.with_name("kept"), directory)
    return made


def finish(place: Place) -> None:
    """Upgrade, and see that clients use the newer version."""
    done = place.upgrade()
    assert done.code == 0, done.output
    assert (place.serving, place.major) == ("18", "18")
    assert (place.older / "superseded").read_text() == "18, for good\n"


def go_back(place: Place) -> None:
    """Take it back, and see that all is as before."""
    done = place.upgrade("--undo")
    assert done.code == 0, done.output
    assert (place.serving, place.major) == ("17", "17")
    assert sorted(path.name for path in place.older.iterdir()) == ["PG_VERSION"]
    assert not place.newer.exists()


def test_each_step_in_its_order(place: Place) -> None:
    """Images first, then the fence; clients come last, and what follows the check is a choice."""
    finish(place)
    calls = [call for call in place.list_calls() if "describe" not in call]
    script = (
        "run --rm --no-deps --no-TTY --entrypoint /bin/bash postgres /srv/postgres/succession.sh"
    )
    of = "/var/lib/postgresql/17/docker /var/lib/postgresql/18/docker 18"
    assert calls == [
        "- --project-directory pull --policy missing postgres",
        "- --project-directory --profile tools build backup",
        "run --rm --no-TTY backup move --to-postgres 18",
        "--profile tools down --remove-orphans",
        f"{script} hand-over {of}",
        "run --rm --no-TTY restore --keep-files",
        "up --detach --wait synapse",
        f"{script} open {of}",
        "up --detach --wait --remove-orphans",
        "exec --no-TTY helper check",
    ]
    # A second time only the start and the check are left.
    finish(place)
    assert "--keep-files" not in " ".join(place.list_calls())


@pytest.mark.parametrize("number", range(LAST + 1))
def test_a_kill_before_any_step(place: Place, number: int) -> None:
    """The next run goes on, or goes back, and clients never reach a half of it."""
    assert place.upgrade(before_step=number).killed
    # Up to the fence the server runs on; from the stop on nobody is served.
    assert place.serving == ("17" if number < 3 else "")
    assert not place.run("up").killed
    assert place.serving in {"", place.major}
    if number == LAST:
        before = read_tree(place.bundle), read_tree(place.state / "volume")
        done = place.upgrade("--undo")
        assert (done.code, "Clients have used PostgreSQL 18" in done.output) == (2, True)
        assert (read_tree(place.bundle), read_tree(place.state / "volume")) == before
    else:
        go_back(place)
        assert place.upgrade(before_step=number).killed
    finish(place)


def test_what_a_killed_run_has_left_is_waited_for(place: Place) -> None:
    """Its container goes on making the set, and holds the lock until that is made."""
    (place.state / "left").touch()
    finish(place)


@pytest.mark.parametrize("number", range(5))
def test_a_kill_before_any_step_back(place: Place, number: int) -> None:
    """Going back is finished by the same command; where it is half done, nothing else begins."""
    assert place.upgrade(before_step=LAST - 1).killed
    assert place.upgrade("--undo", before_step=number).killed
    if number == 2:
        done = place.upgrade()
        assert (done.code, "Finish it first: synapse-bundle upgrade-database --undo" in done.output) == (2, True)  # fmt: skip
    go_back(place)
    finish(place)


@pytest.mark.parametrize(
    "words",
    [
        "pull",
        "build",
        "ps --quiet --filter",
        "move",
        "down",
        "hand-over",
        "--keep-files",
        "up",
        "describe",
    ],
)
def test_a_failure_says_how_to_go_on_and_back(place: Place, words: str) -> None:
    """Whatever a container cannot do; and it is done when it can."""
    place.fail(words)
    done = place.upgrade()
    assert done.code == 1, done.output
    if words != "describe":
        assert "To go on: synapse-bundle upgrade-database\n" in done.output
        assert "upgrade-database --undo" in done.output
    place.fail("")
    finish(place)


def test_the_old_data_is_removed_by_a_command_of_its_own(place: Place) -> None:
    """Not before clients use the newer one; then all of it, and again for nothing."""
    done = place.upgrade("--remove-old")
    assert (done.code, "nothing was changed" in done.output) == (2, True)
    assert (place.older / "PG_VERSION").exists()
    finish(place)
    for _ in range(2):
        assert place.upgrade("--remove-old").code == 0
        assert list(place.older.parent.iterdir()) == []
    done = place.upgrade()
    assert (done.code, "holds no data of PostgreSQL 17" in done.output) == (2, True)


def test_a_server_that_has_no_data_yet_begins_with_the_newer_one(place: Place) -> None:
    """There is nothing to hand over: only the bundle is written."""
    shutil.rmtree(place.older.parent)
    done = place.upgrade()
    assert (done.code, "no data yet" in done.output, place.major) == (0, True, "18"), done.output
    assert "--keep-files" not in " ".join(place.list_calls())


def test_an_older_copy_of_the_folder_follows_the_data(place: Place) -> None:
    """Where clients have used the newer version, only the folder is written again."""
    kept = read_tree(place.bundle)
    finish(place)
    for path, (_, content) in kept.items():
        if content:
            (place.bundle / path).write_bytes(content)
    assert place.major == "17"
    finish(place)
    assert "--keep-files" not in place.list_calls()[-1]


def test_a_bundle_stays_what_it_is(place: Place) -> None:
    """No `generate` brings another major version, not even one that has lost the manifest."""
    for options in ((), ("--force",)):
        assert place.run("generate", *options).code == 0
        assert place.major == "17"
    (place.bundle / ".manifest.json").unlink()
    assert place.run("generate", "--force").code == 0
    assert place.major == "17"


def test_what_has_no_database_of_its_own(tmp_path: Path) -> None:
    """Whoever runs it upgrades it."""
    with start(tmp_path) as runner:
        place = make_place(runner, "kubernetes: {database: cloudnative-pg}\n")
        done = place.upgrade()
        assert (done.code, "not the bundle's own" in done.output) == (1, True)


def test_an_unknown_version_is_left_alone(place: Place) -> None:
    """A version that this program does not know is neither written nor upgraded."""
    age(place.bundle)
    path = place.bundle / ".manifest.json"
    path.write_text(path.read_text().replace("17-trixie", "99-trixie"))
    before = read_tree(place.bundle)
    done = place.upgrade()
    assert (done.code, "has PostgreSQL 99" in done.output) == (2, True)
    assert read_tree(place.bundle) == before
