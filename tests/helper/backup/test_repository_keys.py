"""The repository's passwords: at each moment the one in the file opens it, at the end no other."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup import repository_keys
from bundle_helper.backup.ownership import open_repository
from bundle_helper.backup.repository_errors import RepositoryMissingError, WrongPasswordError
from bundle_helper.backup.restic import Restic
from bundle_helper.settings.environment import Secret
from tests.helper.backup.command_line import run_command

if TYPE_CHECKING:
    from tests.helper.backup.conftest import Place

pytestmark = pytest.mark.engine

NEW = "new-and-long-enough"


def count_keys(folder: Place) -> int:
    """Return how many passwords open the repository."""
    return len(json.loads(Restic(folder.settings).ask("key", "list", "--json")))


def write_password(folder: Place, password: str) -> str:
    """Put a password into the bundle, and return the one before."""
    path = folder.root / "bundle" / "secrets" / "backup_password"
    before = path.read_text().strip()
    path.write_text(f"{password}\n")
    return before


def opens(folder: Place) -> bool:
    """Return whether the password in the bundle opens the repository."""
    try:
        folder.repository.snapshots()
    except WrongPasswordError:
        return False
    return True


def test_each_step_may_be_done_twice(folder: Place) -> None:
    """Admitted twice there is one key more, dismissed twice one less; both open it in between."""
    said: list[str] = []
    open_repository(folder.repository)
    for _ in range(2):
        repository_keys.admit(folder.settings, Secret(NEW))
        assert count_keys(folder) == 2
    old = write_password(folder, NEW)
    assert opens(folder)
    # As a run that was cut off after writing begins again.
    repository_keys.admit(folder.settings, Secret(NEW))
    for _ in range(2):
        repository_keys.dismiss(folder.settings, Secret(old), said.append)
        assert count_keys(folder) == 1
    assert opens(folder)
    write_password(folder, old)
    assert not opens(folder)
    assert said == []


def test_before_the_first_set_there_is_nothing_to_change(folder: Place) -> None:
    """Without a repository both steps succeed, and none is made."""
    repository_keys.admit(folder.settings, Secret(NEW))
    old = write_password(folder, NEW)
    repository_keys.dismiss(folder.settings, Secret(old), print)
    assert list((folder.root / "repository").iterdir()) == []


def test_a_disk_that_is_not_mounted_is_not_a_repository_that_never_was(folder: Place) -> None:
    """A repository that was used and is not there keeps its password: nothing may be written."""
    open_repository(folder.repository)
    shutil.rmtree(folder.root / "repository")
    (folder.root / "repository").mkdir()
    with pytest.raises(RepositoryMissingError, match="mount it"):
        repository_keys.admit(folder.settings, Secret(NEW))


def test_a_password_that_opens_nothing_admits_none(folder: Place) -> None:
    """With a wrong password in the bundle the new one is refused."""
    open_repository(folder.repository)
    old = write_password(folder, "wrong-and-long-enough")
    with pytest.raises(WrongPasswordError):
        repository_keys.admit(folder.settings, Secret(NEW))
    write_password(folder, old)
    assert count_keys(folder) == 1


def test_from_a_repository_that_only_takes_the_old_one_is_removed_elsewhere(folder: Place) -> None:
    """The command to type there names the old password's key, and removes that."""
    open_repository(folder.repository)
    repository_keys.admit(folder.settings, Secret(NEW))
    old = write_password(folder, NEW)
    folder.environ["BACKUP_APPEND_ONLY"] = "yes"
    said: list[str] = []
    repository_keys.dismiss(folder.settings, Secret(old), said.append)
    assert count_keys(folder) == 2
    [sentence] = said
    program, *arguments = sentence.rpartition(": ")[2].split()
    assert program == "restic"
    Restic(folder.settings).ask(*arguments)
    assert count_keys(folder) == 1
    assert opens(folder)


def test_the_password_is_read_from_standard_input_and_shown_nowhere(folder: Place) -> None:
    """As the container runs it; without a password nothing changes."""
    open_repository(folder.repository)
    silent = run_command(folder.environ, "password", "admit")
    assert silent.returncode == 2
    assert "standard input holds no password" in silent.stderr
    done = run_command(folder.environ, "password", "admit", given=f"{NEW}\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert count_keys(folder) == 2
