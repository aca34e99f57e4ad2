"""Whatever cuts a run of the generator off, the bundle stays usable and the next run completes it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from stat import S_IMODE

import pytest

from tests.generator import runs
from tests.generator.runs import CHANGES, Runner, Tree, read_tree

OLD = "max_upload_size: 20M\n"
NEW = "max_upload_size: 30M\nadmin: alice\nmemory: 3G\n"
MINE = {
    "notes.txt": "mine\n",
    "secrets/mine": "mine\n",
    "apache/mine.conf": "mine\n",
    "compose.override.yaml": "services: {}\n# mine\n",
}
STALE = "apache/htdocs/old/page.html"
# Before a file is opened, the disk is as it was after the last change.
STATES = [event for event in CHANGES if event != "open"]
# Not secret, and made again from the secrets.
NOT_KEPT = {"authority.pem", "synapse.yaml"}


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """A directory to generate in, again and again."""
    with runs.start(tmp_path) as runner:
        yield runner


@pytest.fixture
def old(runner: Runner) -> Path:
    """A bundle of older settings and templates, with files of the operator's own, set aside."""
    template = runner.assets / "compose" / STALE
    template.parent.mkdir()
    template.write_text("an earlier version had this\n")
    write_settings(runner, OLD)
    assert runner.generate().code == 0
    for name, text in MINE.items():
        (runner.bundle / name).write_text(text)
    shutil.rmtree(template.parent)
    write_settings(runner, NEW)
    return runner.bundle.rename(runner.directory / "old")


@pytest.fixture
def new(runner: Runner, old: Path) -> Tree:
    """The older bundle after an uninterrupted run."""
    restore(runner, old)
    assert runner.generate().code == 0
    tree = read_tree(runner.bundle)
    assert STALE in read_tree(old)
    assert str(Path(STALE).parent) not in tree
    return tree


def write_settings(runner: Runner, text: str) -> None:
    """Write the settings file of the next runs."""
    (runner.directory / "settings.yaml").write_text(text)


def restore(runner: Runner, old: Path) -> None:
    """Put the older bundle back in place."""
    shutil.rmtree(runner.bundle, ignore_errors=True)
    shutil.copytree(old, runner.bundle)


def read_secrets(bundle: Path, pattern: str = "[!.]*") -> dict[str, bytes]:
    """Return the secrets that are in their places, or other files beside them."""
    found = (bundle / "secrets").glob(pattern)
    return {path.name: path.read_bytes() for path in found if path.name not in NOT_KEPT}


def assert_secrets_are_hidden(bundle: Path) -> None:
    """Fail where another user of the machine could read a secret, staged ones included."""
    secrets = read_secrets(bundle, "*").values()
    if secrets:
        assert S_IMODE((bundle / "secrets").stat().st_mode) == 0o700
    for path in bundle.rglob("*"):
        if path.is_file() and bundle / "secrets" not in path.parents:
            content = path.read_bytes()
            assert not any(secret.strip() in content for secret in secrets if secret.strip()), path


def test_a_first_run_killed_at_any_change_is_completed_by_the_next(runner: Runner) -> None:
    """A first run that was killed anywhere is completed by the next, and no secret is made twice.

    Killed at each change of the disk in turn, with the widest and the narrowest umask; at no moment
    may another user read a secret.
    """
    assert runner.generate().code == 0
    whole = {path: mode for path, (mode, _) in read_tree(runner.bundle).items()}
    summary = runner.generate("--dry-run").output.splitlines()[-1]
    assert " identical" in summary
    for step, umask in zip(itertools.count(), itertools.cycle([0o000, 0o077])):
        shutil.rmtree(runner.bundle)
        run = runner.generate(fault="kill", step=step, events=STATES, umask=umask)
        if not run.killed:
            assert run.code == 0
            break
        assert_secrets_are_hidden(runner.bundle)
        before = read_secrets(runner.bundle)
        again = runner.generate(umask=umask)
        assert again.code == 0, f"after a kill at change {step}: {again.output}"
        assert {path: mode for path, (mode, _) in read_tree(runner.bundle).items()} == whole
        assert before.items() <= read_secrets(runner.bundle).items()
        assert runner.generate("--dry-run").output.splitlines()[-1] == summary
    assert step > len(whole)


def test_an_update_killed_at_any_change_is_completed_by_the_next(
    runner: Runner, old: Path, new: Tree
) -> None:
    """An update that was killed anywhere ends, by the next run, where one run would have.

    In between every file is the old or the new one, whole, and compose.yaml is new only when all
    others are.
    """
    before = read_tree(old)
    for step in itertools.count():
        restore(runner, old)
        run = runner.generate(fault="kill", step=step, events=STATES, umask=0o077)
        if not run.killed:
            assert run.code == 0
            break
        between = {p: f for p, f in read_tree(runner.bundle).items() if ".bundle-new" not in p}
        strange = {path for path, found in between.items() if path != ".manifest.json"
                   and found not in (before.get(path), new.get(path))}  # fmt: skip
        assert strange == set(), f"after a kill at change {step}"
        if between["compose.yaml"] == new["compose.yaml"]:
            assert {path: between[path] for path in new if path != ".manifest.json"} == {
                path: new[path] for path in new if path != ".manifest.json"
            }
        again = runner.generate(umask=0o077)
        assert again.code == 0, f"after a kill at change {step}: {again.output}"
        assert read_tree(runner.bundle) == new
    assert step > len({path for path in new if new[path] != before.get(path)})


@pytest.mark.parametrize("fault", ["ENOSPC", "EDQUOT", "EROFS", "EACCES"])
def test_a_disk_that_refuses_new_files_leaves_the_bundle_as_it_was(
    runner: Runner, old: Path, fault: str
) -> None:
    """A disk that refuses a new file gives exit code 1, one line, and the bundle as it was.

    Full, over quota, read-only or forbidden at each new file in turn; nothing is left over.
    """
    before = read_tree(old)
    restore(runner, old)
    for step in itertools.count():
        run = runner.generate(fault=fault, step=step, events=("open", "os.mkdir"))
        if run.code == 0:
            break
        assert run.code == 1, run.output
        complaints = [line for line in run.output.splitlines() if line.startswith("Error: ")]
        assert len(complaints) == 1
        assert run.output.endswith(complaints[0] + "\n")
        assert str(runner.bundle.name) in complaints[0]
        assert read_tree(runner.bundle) == before, step
    assert step > 3


def test_a_disk_that_fails_at_any_change_is_survived(runner: Runner, old: Path, new: Tree) -> None:
    """After an I/O error anywhere the next run ends where one run would have.

    Replacing and removing included; the run itself ends with code 1 and the reason.
    """
    for step in itertools.count():
        restore(runner, old)
        run = runner.generate(fault="EIO", step=step)
        if run.code == 0:
            break
        assert run.code == 1, run.output
        assert "Input/output error" in run.output.splitlines()[-1]
        assert runner.generate().code == 0
        assert read_tree(runner.bundle) == new, step


def test_a_file_that_is_cut_off_while_written_changes_nothing(runner: Runner, old: Path) -> None:
    """A disk that takes a part of a file and no more: the half is removed, the old one stays."""
    restore(runner, old)
    run = runner.generate(largest=4096)
    assert run.code == 1, run.output
    assert "File too large" in run.output.splitlines()[-1]
    assert read_tree(runner.bundle) == read_tree(old)


def test_two_runs_at_once_exclude_each_other(runner: Runner, old: Path, new: Tree) -> None:
    """While one run is in the middle of writing, a second one says so and changes nothing."""
    restore(runner, old)
    first = runner.generate(fault="stop", step=9)
    assert first.stopped
    between = read_tree(runner.bundle)
    assert between not in (read_tree(old), new)
    second = runner.generate()
    assert second.code == 1
    assert "another run is writing bundle; try again when it has ended" in second.output
    assert read_tree(runner.bundle) == between
    assert runner.resume(first).code == 0
    assert read_tree(runner.bundle) == new


def test_a_killed_run_does_not_keep_the_lock(runner: Runner, old: Path, new: Tree) -> None:
    """The lock of a run that is dead blocks no other."""
    restore(runner, old)
    assert runner.generate(fault="kill", step=9).killed
    assert (runner.bundle / ".lock").exists()
    assert runner.generate().code == 0
    assert read_tree(runner.bundle) == new
