"""One run at a time, also when the first ones meet in a directory that does not exist yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generator import runs
from tests.generator.runs import Runner

BUSY = "another run is writing bundle; try again when it has ended"


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A directory to generate in; its server process ends with the test."""
    with runs.start(tmp_path) as runner:
        yield runner


def test_a_loser_leaves_the_winners_lock_alone(runner: Runner) -> None:
    """A run that saw no directory and came too late removes nothing of the one that holds it."""
    late = runner.generate(fault="stop", step=0)
    # It holds the lock, and nothing else is there yet.
    winner = runner.generate(fault="stop", step=1, events=("open",))
    assert late.stopped
    assert winner.stopped
    held = (runner.bundle / ".lock").stat().st_ino
    lost = runner.resume(late)
    assert (lost.code, BUSY in lost.output) == (1, True)
    assert (runner.bundle / ".lock").stat().st_ino == held
    third = runner.generate()
    assert (third.code, BUSY in third.output) == (1, True)
    assert runner.resume(winner).code == 0
    assert "identical" in runner.generate().output


def test_a_lock_that_was_removed_meanwhile_is_not_held(runner: Runner) -> None:
    """Between opening the lock file and locking it another run may end and take it away."""
    first = runner.generate("--dry-run", fault="stop", step=0, events=("os.remove",))
    second = runner.generate(fault="stop", step=0, events=("fcntl.flock",))
    assert first.stopped
    assert second.stopped
    assert runner.resume(first).code == 0
    assert not runner.bundle.exists()
    ended = runner.resume(second)
    assert ended.code == 0, ended.output
    assert "identical" in runner.generate().output


def test_a_leftover_that_vanishes_is_no_error(runner: Runner) -> None:
    """What a killed run had staged may no longer exist when it is to be removed."""
    assert runner.generate().code == 0
    leftover = runner.bundle / "apache" / ".httpd.conf.abc.bundle-new"
    leftover.touch()
    run = runner.generate(fault="stop", step=0, events=("os.remove",))
    assert run.stopped
    leftover.unlink()
    assert runner.resume(run).code == 0


@pytest.mark.parametrize("arguments", [("--dry-run",), ("--settings", "bad.yaml")])
def test_a_run_that_writes_nothing_leaves_no_directory(
    runner: Runner, arguments: tuple[str, ...]
) -> None:
    """Neither the bundle's directory nor those above it, nor a lock in one that was there."""
    (runner.directory / "bad.yaml").write_text(
        "server_name: example.org\nemail: you@example.org\ntunnel: cloudflare\n"
    )
    (runner.directory / "empty").mkdir()
    before = {"bad.yaml", "empty", "output"}
    for output in ("a/b/c", "empty", "empty/d"):
        run = runner.generate(*arguments, "--output", output)
        assert run.code in (0, 2), run.output
        assert {path.name for path in runner.directory.rglob("*")} == before
