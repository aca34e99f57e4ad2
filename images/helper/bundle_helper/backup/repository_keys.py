"""The passwords of the repository. restic has a key for each, and each opens everything.

So a new one is admitted while the old one still opens it, and the old one dismissed after that.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from .. import storage
from ..errors import HelperError
from .ownership import exists
from .repository import Repository
from .repository_errors import WrongPasswordError
from .restic import Restic

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..settings.backup_settings import BackupSettings
    from ..settings.environment import Secret


def admit(settings: BackupSettings, password: Secret) -> None:
    """Let a new password open the repository too; nothing if it does, or if there is none yet.

    RepositoryError, also if the repository that was used before is not there.
    """
    other = _use(settings, password)
    if _opens(other):
        return
    if exists(Repository(settings)):
        new = str(other.repository.password_file)
        Restic(settings).ask("key", "add", "--new-password-file", new)


def dismiss(settings: BackupSettings, password: Secret, tell: Callable[[str], None]) -> None:
    """Let an old password no longer open the repository; nothing if it does not, or if there is none.

    From a repository that only takes nothing can be removed here; it says what to type elsewhere.
    RepositoryError, also if the repository that was used before is not there.
    """
    other = _use(settings, password)
    if not exists(Repository(settings)) or not _opens(other):
        return
    keys = json.loads(Restic(other).ask("key", "list", "--json", "--no-lock"))
    old = next(str(key["id"]) for key in keys if key["current"])
    if settings.append_only:
        tell(
            f"the repository at {settings.repository.name} only takes, so the old password goes on"
            f" opening it until you type on the machine that may delete there: restic key remove {old}"
        )
        return
    Restic(settings).ask("key", "remove", old)


def _use(settings: BackupSettings, password: Secret) -> BackupSettings:
    """Return the settings with another password, in a file of the directory in memory."""
    path = settings.runtime_directory / "other_password"
    _write(path, password)
    return replace(settings, repository=replace(settings.repository, password_file=path))


def _write(path: Path, password: Secret) -> None:
    try:
        storage.replace(path, f"{password.reveal()}\n".encode(), 0o600)
    except OSError as error:
        raise HelperError(f"{path} cannot be written: {error.strerror}") from error


def _opens(settings: BackupSettings) -> bool:
    """Return whether a password opens the repository; it does not if there is no repository."""
    try:
        return exists(Repository(settings))
    except WrongPasswordError:
        return False
