"""What a run believes of the bundle that it finds: paths, modes, owners, versions, identity."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synapse_bundle import __version__, images, versions
from tests.generator import runs
from tests.generator.runs import Runner, read_tree

TEXT = b"somebody's\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """The server process of all tests here."""
    with runs.start(tmp_path_factory.mktemp("trust")) as server:
        yield server


@pytest.fixture
def runner(server: Runner, tmp_path: Path) -> Runner:
    """A directory with a bundle in it, as it was generated."""
    runner = Runner(process=server.process, directory=tmp_path, assets=server.assets)
    assert runner.generate().code == 0
    return runner


def read_manifest(runner: Runner) -> dict[str, Any]:
    """Return the bundle's manifest."""
    document: dict[str, Any] = json.loads((runner.bundle / ".manifest.json").read_text())
    return document


def forge(runner: Runner, **entries: Any) -> None:
    """Write other entries into the bundle's manifest."""
    document = read_manifest(runner) | entries
    (runner.bundle / ".manifest.json").write_text(json.dumps(document))


def add_file(runner: Runner, name: str) -> None:
    """Let the manifest say that a file with the text above was generated."""
    digest = hashlib.sha256(TEXT).hexdigest()
    forge(runner, files=read_manifest(runner)["files"] | {name: [digest]})


def refuse(runner: Runner, *arguments: str) -> str:
    """Generate in vain; return the complaint. The bundle may not have changed."""
    before = read_tree(runner.bundle)
    run = runner.generate(*arguments)
    assert run.code == 2, run.output
    assert read_tree(runner.bundle) == before
    return run.output


@pytest.mark.parametrize("force", [(), ("--force",)])
@pytest.mark.parametrize("name", ["../victim", "{}/victim", "apache/../../victim", "./.lock"])
def test_a_manifest_deletes_nothing_outside(
    runner: Runner, name: str, force: tuple[str, ...]
) -> None:
    """A forged path is refused with its name; forced, the manifest is made again without it."""
    victim = runner.directory / "victim"
    victim.write_bytes(TEXT)
    honest = read_manifest(runner)
    add_file(runner, name.format(runner.directory))
    if force:
        assert runner.generate(*force).code == 0
        assert read_manifest(runner) == honest
    else:
        message = refuse(runner)
        assert (
            f"names '{name.format(runner.directory)}', which is not a file of a bundle" in message
        )
        assert "generate with --force to make a new one" in message
    assert victim.read_bytes() == TEXT


@pytest.mark.parametrize("name", [".cloudflare.json", ".lock", "images/.hidden"])
def test_a_manifest_deletes_nothing_hidden(runner: Runner, name: str) -> None:
    """What the bundle's own hidden files hold is not for a manifest to remove."""
    (runner.bundle / name).write_bytes(TEXT)
    add_file(runner, name)
    assert f"names {name!r}, which is not a file of a bundle" in refuse(runner)


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_a_manifest_deletes_nothing_through_a_link(runner: Runner, force: tuple[str, ...]) -> None:
    """A directory in the bundle that is a link to another place is not followed."""
    outside = runner.directory / "outside"
    outside.mkdir()
    (outside / "victim").write_bytes(TEXT)
    (runner.bundle / "backup").symlink_to(outside)
    add_file(runner, "backup/victim")
    assert "backup/victim: leads out of the bundle; move it away" in refuse(runner, *force)
    assert (outside / "victim").read_bytes() == TEXT


def test_a_lock_is_not_made_through_a_link(runner: Runner) -> None:
    """A link in the place of the lock makes no file elsewhere."""
    (runner.bundle / ".lock").unlink()
    (runner.bundle / ".lock").symlink_to("../elsewhere")
    run = runner.generate()
    assert run.code == 1
    assert "bundle cannot be written" in run.output
    assert not (runner.directory / "elsewhere").exists()


def test_a_nested_manifest_is_explained(runner: Runner) -> None:
    """A manifest nested beyond what Python reads is a damaged one."""
    (runner.bundle / ".manifest.json").write_text("[" * 100_000)
    assert ".manifest.json cannot be read; generate with --force" in refuse(runner)


@pytest.mark.parametrize("name", ["README.md", "compose.override.yaml", ".manifest.json"])
def test_a_pipe_is_refused(runner: Runner, name: str) -> None:
    """A pipe in the place of a file would be waited for without an end."""
    (runner.bundle / name).unlink()
    os.mkfifo(runner.bundle / name)
    # It has no writer: reading from it would hang.
    run = runner.generate("--force")
    assert run.code == 2
    assert f"{name}" in run.output
    assert "move it away" in run.output


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("secrets", 0o755, 0o700),
        ("secrets", 0o770, 0o700),
        ("apache", 0o700, 0o755),
        ("images/helper", 0o777, 0o755),
        (".", 0o777, 0o755),
        (".", 0o775, 0o755),
        (".", 0o070, 0o750),
    ],
)
def test_a_changed_mode_of_a_directory_is_repaired(
    runner: Runner, name: str, wrong: int, right: int
) -> None:
    """Although every file is the same: who may enter and who may write decides about all of them."""
    (runner.bundle / name).chmod(wrong)
    message = f"update    {name}/ (mode {right:04o})\n"
    assert message in runner.generate("--dry-run").output
    assert (runner.bundle / name).stat().st_mode & 0o777 == wrong
    run = runner.generate()
    assert run.code == 0
    assert message in run.output
    assert (runner.bundle / name).stat().st_mode & 0o777 == right
    assert "update" not in runner.generate().output


def test_a_bundle_that_is_closed_to_others_stays_closed(runner: Runner) -> None:
    """How much others may see of the folder is for its owner to say."""
    runner.bundle.chmod(0o2700)
    assert "update" not in runner.generate().output
    assert runner.bundle.stat().st_mode & 0o7777 == 0o2700


@pytest.mark.parametrize(("umask", "name"), [(0o000, "open"), (0o777, "closed"), (0o077, "own")])
def test_the_mode_of_a_new_bundle_does_not_depend_on_the_umask(
    runner: Runner, umask: int, name: str
) -> None:
    """No other user may rename its `secrets`, and its owner may enter it."""
    assert runner.generate("--output", name, umask=umask).code == 0
    assert (runner.directory / name).stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("name", ["README.md", "secrets/admin_password", "secrets/synapse.yaml"])
def test_a_link_in_the_place_of_a_file_is_replaced(runner: Runner, name: str) -> None:
    """A link to the same content, elsewhere in the bundle, has neither its mode nor its safety."""
    file = runner.bundle / name
    before = file.read_bytes(), file.stat().st_mode
    moved = runner.bundle / "copy"
    file.rename(moved)
    file.symlink_to(moved)
    run = runner.generate()
    assert run.code == 0
    assert f"update    {name}\n" in run.output
    assert not file.is_symlink()
    assert (file.read_bytes(), file.stat().st_mode) == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_replaced(runner: Runner) -> None:
    """Its owner could change it whenever he likes."""
    names = ("README.md", "secrets/admin_password")
    before = read_tree(runner.bundle)
    for name in names:
        os.chown(runner.bundle / name, 4242, 4242)
    assert runner.generate().code == 0
    assert read_tree(runner.bundle) == before
    assert {(runner.bundle / name).stat().st_uid for name in names} == {0}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give directories away")
def test_a_directory_of_another_user_is_refused(runner: Runner) -> None:
    """Its owner could undo every repair; a bundle that wholly belongs to another user is that user's."""
    os.chown(runner.bundle / "secrets", 4242, 4242)
    assert "secrets/: belongs to user 4242" in refuse(runner)
    os.chown(runner.bundle, 4242, 4242)
    assert runner.generate().code == 0


@pytest.mark.parametrize("version", ["9.9.9", "10.0", "9.9.9rc1", f"{__version__}.post1"])
def test_a_newer_bundle_is_not_downgraded(runner: Runner, version: str) -> None:
    """A stale installation does not take a server back to old images, unless forced."""
    forge(runner, version=version)
    message = refuse(runner)
    assert f"generated by synapse-bundle {version}" in message
    assert "--force" in message
    assert runner.generate("--force").code == 0
    assert read_manifest(runner)["version"] == __version__


@pytest.mark.parametrize("version", ["0.0.9", f"{__version__}rc1", __version__])
def test_an_older_bundle_is_upgraded(runner: Runner, version: str) -> None:
    """A pre-release comes before its release."""
    forge(runner, version=version)
    assert runner.generate().code == 0
    assert read_manifest(runner)["version"] == __version__


def test_versions_are_compared_by_their_numbers() -> None:
    """0.10 is newer than 0.9, and what is not a version is not guessed at."""
    assert versions.is_older("0.9.0", "0.10.0")
    assert not versions.is_older("1.0", "1.0.0")


@pytest.mark.parametrize("name", images.STATEFUL)
def test_a_newer_database_or_homeserver_is_not_downgraded(runner: Runner, name: str) -> None:
    """Another checkout of the same version may have older pins, which their data may not survive."""
    pinned = images.read_pins()[name].tag
    newer = {"postgres": "99-trixie", "synapse": "v1.999.0"}[name]
    forge(runner, images=read_manifest(runner)["images"] | {name: newer})
    assert f"{name}: {newer} is in use, and this would be {pinned}" in refuse(runner)
    assert runner.generate("--force").code == 0
    assert read_manifest(runner)["images"][name] == pinned


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_the_project_is_final(runner: Runner, force: tuple[str, ...]) -> None:
    """Volumes bear its name: under another one the server would start without its data."""
    (runner.directory / "settings.yaml").write_text("project: other\n")
    message = refuse(runner, *force)
    assert "project cannot change from 'homeserver' to 'other'" in message
    assert "write `project: homeserver`" in message


def test_a_copy_without_hidden_files_is_explained_and_taken_over(runner: Runner) -> None:
    """`cp -r bundle/* elsewhere/` leaves the manifest behind; nothing else is lost."""
    copy = runner.directory / "copy"
    shutil.copytree(runner.bundle, copy, ignore=shutil.ignore_patterns(".*"))
    (copy / "notes.txt").write_text("mine\n")
    before = read_tree(copy)
    message = runner.generate("--output", "copy")
    assert message.code == 2
    assert "copy is a bundle without its hidden file .manifest.json" in message.output
    assert read_tree(copy) == before
    assert runner.generate("--output", "copy", "--force").code == 0
    assert {k: v for k, v in read_tree(copy).items() if k != ".manifest.json"} == before
    assert (copy / ".manifest.json").read_bytes() == (runner.bundle / ".manifest.json").read_bytes()


@pytest.mark.parametrize("lost", [True, False])
@pytest.mark.parametrize(
    ("key", "settings"),
    [
        (
            "server_name",
            "server_name: example.org\nemail: you@example.org\ncertificates: own-authority\n",
        ),
        ("project", "project: other\n"),
    ],
)
def test_a_bundle_without_a_manifest_keeps_its_identity(
    runner: Runner, key: str, settings: str, *, lost: bool
) -> None:
    """Forced, what compose.yaml says replaces a manifest that is missing or damaged."""
    manifest = runner.bundle / ".manifest.json"
    manifest.unlink()
    if not lost:
        manifest.write_text("{")
    (runner.directory / "settings.yaml").write_text(settings)
    assert f"{key} cannot change from" in refuse(runner, "--force")
