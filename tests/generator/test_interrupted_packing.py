"""Whatever cuts packing or unpacking off, the file or folder is whole or absent, and the next run makes it."""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.generator import runs
from tests.generator.packing import FakeEngine, make_bundle, make_engine
from tests.generator.runs import CHANGES, Run, Runner, read_tree

EVENTS = (*CHANGES, "os.symlink")


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A directory with a small bundle, to pack again and again."""
    with runs.start(tmp_path) as runner:
        make_bundle(runner.bundle)
        yield runner


@pytest.fixture
def engine(tmp_path: Path) -> FakeEngine:
    """A `docker` with the bundle's images."""
    return make_engine(tmp_path)


def run(runner: Runner, engine: FakeEngine, *arguments: str, **options: Any) -> Run:
    """Run a command; a fault strikes before a change in the runner's directory."""
    directory = str(runner.directory)
    request: dict[str, Any] = {"cwd": directory, "assets": str(runner.assets), "root": directory}
    request |= {"arguments": arguments, "path": engine.path, "umask": 0}
    return runner.ask(request | options)


def list_names(runner: Runner) -> set[str]:
    """Return the names in the runner's directory, but for what the tests' own server writes."""
    return {path.name for path in runner.directory.iterdir()} - {"output"}


def assert_private(runner: Runner) -> None:
    """Fail where another user could read a secret in what a killed run had begun to write."""
    for path in runner.directory.glob(".*.part"):
        secret = path / "secrets" if path.is_dir() else path
        assert not secret.exists() or not stat.S_IMODE(secret.stat().st_mode) & 0o077
        assert not stat.S_IMODE(path.stat().st_mode) & 0o022


def test_packing_killed_at_any_change_leaves_no_file_or_a_whole_one(
    runner: Runner, engine: FakeEngine
) -> None:
    """The next run completes it, and the bundle never changes."""
    before = read_tree(runner.bundle)
    for step in itertools.count():
        killed = run(runner, engine, "pack", fault="kill", step=step, events=EVENTS)
        assert read_tree(runner.bundle) == before
        assert_private(runner)
        if not killed.killed:
            assert killed.code == 0, killed.output
            break
        assert not (runner.directory / "bundle.tar").exists()
        again = run(runner, engine, "pack")
        assert again.code == 0, again.output
        assert list_names(runner) == {"bundle", "bundle.tar"}
        (runner.directory / "bundle.tar").unlink()
    assert step >= 3


def test_packing_killed_in_the_images_leaves_no_file(runner: Runner, engine: FakeEngine) -> None:
    """In the middle of what the engine saves."""
    engine.act("save", "head -c 1500000 saved; kill -9 $1; cat saved")
    killed = run(runner, engine, "pack")
    assert killed.killed
    assert list_names(runner) == {"bundle", ".bundle.tar.part"}
    assert_private(runner)
    (engine.directory / "save").unlink()
    assert run(runner, engine, "pack").code == 0
    assert list_names(runner) == {"bundle", "bundle.tar"}
    assert run(runner, engine, "unpack", "--output", "other").code == 0
    assert read_tree(runner.directory / "other") == read_tree(runner.bundle)


def test_unpacking_killed_at_any_change_leaves_no_folder_or_a_whole_one(
    runner: Runner, engine: FakeEngine
) -> None:
    """The next run completes it; what a killed one left is hidden from other users, and removed."""
    assert run(runner, engine, "pack").code == 0
    whole = read_tree(runner.bundle)
    other = runner.directory / "other"
    arguments = ("unpack", "--output", "other")
    for step in itertools.count():
        killed = run(runner, engine, *arguments, fault="kill", step=step, events=EVENTS)
        assert_private(runner)
        if not killed.killed:
            assert killed.code == 0, killed.output
            break
        assert not other.exists()
        again = run(runner, engine, *arguments)
        assert again.code == 0, again.output
        assert read_tree(other) == whole
        assert list_names(runner) == {"bundle", "bundle.tar", "other"}
        shutil.rmtree(other)
    assert read_tree(other) == whole
    assert step > len(whole)


def test_unpacking_killed_while_images_are_loaded_leaves_no_folder(
    runner: Runner, engine: FakeEngine
) -> None:
    """The folder gets its name after the images were compared."""
    assert run(runner, engine, "pack").code == 0
    engine.act("load", "head -c 1000000 >/dev/null; kill -9 $1")
    assert run(runner, engine, "unpack", "--output", "other").killed
    assert list_names(runner) == {"bundle", "bundle.tar", ".other.part"}
    assert_private(runner)
    (engine.directory / "load").unlink()
    assert run(runner, engine, "unpack", "--output", "other").code == 0
    assert list_names(runner) == {"bundle", "bundle.tar", "other"}


@pytest.mark.parametrize("fault", ["ENOSPC", "EROFS"])
@pytest.mark.parametrize("verb", [("pack", "new"), ("unpack", "--output", "new")])
def test_a_disk_that_refuses_leaves_nothing(
    runner: Runner, engine: FakeEngine, verb: tuple[str, ...], fault: str
) -> None:
    """One line with the reason, at each change in turn, and no half file or folder."""
    assert run(runner, engine, "pack").code == 0
    events = ("open", "os.mkdir", "os.rename", "os.symlink")
    for step in itertools.count():
        failed = run(runner, engine, *verb, fault=fault, step=step, events=events)
        if failed.code == 0:
            break
        assert failed.code == 1, failed.output
        assert failed.output.splitlines()[-1].startswith("Error: ")
        assert list_names(runner) == {"bundle", "bundle.tar"}, step
    assert step >= 3


def test_a_file_that_cannot_grow_is_removed(runner: Runner, engine: FakeEngine) -> None:
    """A disk that takes a part of the file and no more, as one for files below 4 GB does."""
    failed = run(runner, engine, "pack", largest=1_000_000)
    assert failed.code == 1
    assert "File too large" in failed.output.splitlines()[-1]
    assert list_names(runner) == {"bundle"}


@pytest.mark.parametrize("verb", [("pack", "new"), ("unpack", "--output", "new")])
def test_two_runs_at_once_exclude_each_other(
    runner: Runner, engine: FakeEngine, verb: tuple[str, ...]
) -> None:
    """The second says so and takes nothing away from the first."""
    assert run(runner, engine, "pack").code == 0
    first = run(runner, engine, *verb, fault="stop", step=0, events=("os.rename",))
    assert first.stopped
    second = run(runner, engine, *verb)
    assert second.code == 1
    assert "try again when it has ended" in second.output
    assert runner.resume(first).code == 0
    assert list_names(runner) == {"bundle", "bundle.tar", "new"}


def test_a_bundle_that_is_being_written_is_not_packed(runner: Runner, engine: FakeEngine) -> None:
    """Packing waits for no other run, and is not one that others need not wait for."""
    first = run(runner, engine, "pack", fault="stop", step=0, events=("os.rename",))
    assert first.stopped
    second = run(runner, engine, "pack", "second.tar")
    assert "another run is writing bundle; try again when it has ended" in second.output
    assert runner.resume(first).code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_what_the_user_cannot_read_is_named() -> None:
    """Everything that another user keeps for itself, at once, and no file is written."""
    # Not below pytest's own directory, which is closed to other users.
    with tempfile.TemporaryDirectory() as name, runs.start(Path(name)) as runner:
        Path(name).chmod(0o755)
        engine = make_engine(Path(name))
        make_bundle(runner.bundle)
        for path in [runner.bundle, *runner.bundle.rglob("*")]:
            os.chown(path, 4321, 4321, follow_symlinks=False)
        for closed in ("secrets/postgres_password", ".manifest.json"):
            os.chown(runner.bundle / closed, 0, 0)
            (runner.bundle / closed).chmod(0o600)
        failed = run(runner, engine, "pack", user=4321)
        assert failed.code == 2, failed.output
        assert failed.output.count("cannot be read by you; it belongs to user 0") == 2
        assert list_names(runner) == {"bundle"}
