"""The commands as a person types them: what they print, and what they refuse."""

from __future__ import annotations

import os
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup import report, sets
from tests.helper.backup.command_line import make_unreadable, run_command, start_command
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helper.backup.conftest import Place

pytestmark = pytest.mark.engine
# Prints who makes the set.
_SHOW_USER = """
import os
from bundle_helper.backup import routine
make_set = routine.make_set
def show_and_make(*arguments):
    print(os.getresuid(), os.getresgid(), os.getgroups())
    return make_set(*arguments)
routine.make_set = show_and_make
"""


def test_now_and_list(place: Place) -> None:
    """A set by hand is listed and noted in the report, and the repository is checked."""
    done = run_command(place.environ, "now")
    assert done.returncode == 0, done.stderr
    assert "is complete" in done.stderr
    assert "reading part 1 of 30" in done.stderr
    listed = run_command(place.environ, "list")
    [found] = sets.list_sets(place.repository)
    assert listed.stdout.startswith(
        f"{found.manifest.set}  {found.manifest.time:%Y-%m-%d %H:%M} UTC  manual"
    )
    status = report.read_status(place.root / "report")
    assert status["last_set"]["set"] == found.manifest.set
    assert status["problem"] is None
    again = run_command(place.environ, "now")
    assert again.returncode == 0, again.stderr
    assert "reading part" not in again.stderr
    assert len(run_command(place.environ, "list").stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("path", "command"),
    [
        (
            "media/media_store/local_content/aa/file",
            "docker compose run --rm --no-deps --entrypoint chmod restore a+r",
        ),
        ("media/media_store/local_content/aa", "--entrypoint chmod restore a+rX"),
        ("bundle/compose.yaml", "In the bundle's folder type `chmod a+r compose.yaml`"),
    ],
)
def test_unreadable(place: Place, path: str, command: str) -> None:
    """What cannot be read ends the backup before anything is stored, with the command that helps."""
    make_unreadable(place.root / path)
    done = run_command(place.environ, "now")
    assert done.returncode == 1
    assert f"{place.root / path} cannot be read, so no set was made." in done.stderr
    assert command in done.stderr
    assert place.repository.snapshots() == ()
    assert "cannot be read" in report.read_status(place.root / "report")["problem"]


def test_unreadable_in_between(place: Place) -> None:
    """A file that restic could not read costs the set, although restic made a snapshot."""
    make_unreadable(place.root / "media/media_store/local_content/aa/file")
    code = "from bundle_helper.backup import creation; creation.find_unreadable = lambda _: None"
    done = run_command(place.environ, "now", code=code)
    assert done.returncode == 1
    assert "so no set was made" in done.stderr
    assert "--entrypoint chmod restore a+r" in done.stderr
    assert any(sets.SET in snapshot.tags for snapshot in place.repository.snapshots())
    assert sets.list_sets(place.repository) == ()


def test_missing_repository(place: Place) -> None:
    """A disk that is not mounted is refused, and becomes a repository only when that is asked for."""
    assert run_command(place.environ, "now").returncode == 0
    repository = place.root / "repository"
    repository.rename(place.root / "unmounted")
    repository.mkdir()
    done = run_command(place.environ, "now")
    assert done.returncode == 1
    assert "there is no repository at ./backups. If a disk or a share belongs there" in done.stderr
    assert list(repository.iterdir()) == []
    done = run_command(place.environ, "now", "--new-repository")
    assert done.returncode == 0, done.stderr
    repository.rename(place.root / "other")
    (place.root / "unmounted").rename(repository)
    done = run_command(place.environ, "now")
    assert "is not the one that was used before" in done.stderr
    assert run_command(place.environ, "now", "--new-repository").returncode == 0
    assert run_command(place.environ, "now").returncode == 0


def test_schedule(place: Place) -> None:
    """The service makes up what was missed, and ends at once when it is asked to."""
    directory = place.root / "report"
    report._note(directory, since="2026-01-01T00:00:00+00:00")
    with start_command(place.environ, "run") as process:
        wait_for(lambda: "next" in report.read_status(directory), "the schedule sleeps")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Traceback" not in said
    [found] = sets.list_sets(place.repository)
    assert found.manifest.kind == "scheduled"


def test_schedule_without_time(folder: Place) -> None:
    """Without a time in the settings there is nothing to keep."""
    done = run_command({**folder.environ, "BACKUP_AT": "none"}, "run")
    assert done.returncode == 2
    assert "no time is set for backups" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_owner(place: Place) -> None:
    """As root the service becomes the owner of the folder, who may copy the repository's files."""
    for path in (place.root / "bundle").rglob("*"):
        os.chown(path, 12345, 12346)
    os.chown(place.root / "bundle", 12345, 12346)
    (place.root / "bundle/secrets").chmod(0o700)
    reach(place.root)
    done = run_command(place.environ, "now", code=_SHOW_USER)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(12345, 12345, 12345) (12346, 12346, 12346) []\n"
    owners = {
        path: (path.stat().st_uid, path.stat().st_gid)
        for name in ("repository", "report", "state/12345")
        for path in (place.root / name, *(place.root / name).rglob("*"))
    }
    assert set(owners.values()) == {(12345, 12346)}
    assert stat.S_IMODE((place.root / "report/status.json").stat().st_mode) == 0o644


def reach(path: Path) -> None:
    """Let every user pass through the directories above a path."""
    for parent in (path, *path.parents):
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_repository_of_somebody_else(folder: Place) -> None:
    """A directory that is not new is not given away."""
    (folder.root / "repository" / "config").write_text("")
    os.chown(folder.root / "bundle", 12345, 12346)
    run_command(folder.environ, "list")
    assert (folder.root / "repository").stat().st_uid == 0


def test_without_a_folder(folder: Place) -> None:
    """What compose.yaml does not give is named."""
    environ = {name: value for name, value in folder.environ.items() if name != "BACKUP_KEEP"}
    done = run_command({**environ, "BACKUP_DRILL": "hourly"}, "list")
    assert done.returncode == 2
    assert "BACKUP_KEEP is missing" in done.stderr
    assert "BACKUP_DRILL: 'hourly' is not one of none, daily, weekly, monthly" in done.stderr
