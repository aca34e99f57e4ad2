"""Which user the service is: the owner of the bundle's folder.

That user may read everything in the folder, and the repository's files can be copied without root.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from .. import storage
from ..errors import HelperError
from ..settings.environment import Environment

if TYPE_CHECKING:
    from collections.abc import Mapping


def become_owner(environ: Mapping[str, str]) -> None:
    """Make this user's directories, then become the folder's owner for good.

    Without root, as on Kubernetes, the user stays who it is. HelperError if the folder is not there, or
    a directory cannot be made.
    """
    environment = Environment(environ)
    folder = environment.path("BUNDLE_DIRECTORY")
    state = environment.path("STATE_DIRECTORY")
    runtime = environment.path("RUNTIME_DIRECTORY")
    report = environment.path("REPORT_DIRECTORY")
    repository = environment.text("BACKUP_REPOSITORY")
    environment.raise_problems()
    try:
        owner, is_root = folder.stat(), os.geteuid() == 0
        user = owner.st_uid if is_root else os.geteuid()
        for directory in (state / str(user), runtime, report):
            directory.mkdir(mode=0o755 if directory == report else 0o700, exist_ok=True)
            if is_root:
                os.chown(directory, owner.st_uid, owner.st_gid)
        if not is_root:
            return
        if repository.startswith("/"):
            _give_if_new(Path(repository), owner)
        _become(owner)
    except OSError as error:
        raise HelperError(
            f"this container cannot become the owner of the bundle's folder ({error}): run it with"
            " `docker compose run --rm backup`, as compose.yaml describes it"
        ) from error


def _give_if_new(repository: Path, owner: os.stat_result) -> None:
    """Give the owner the directory that Docker has made for the repository; no other one."""
    if repository.stat().st_uid == 0 and not any(repository.iterdir()):
        os.chown(repository, owner.st_uid, owner.st_gid)


def _become(owner: os.stat_result) -> None:
    if owner.st_uid == 0:
        return
    os.setgroups([])
    os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
    os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)


def name_user(directory: Path) -> dict[str, str]:
    """Return the environment in which this user has a name, which programs such as ssh demand.

    The owner of a folder has none in this image, so libnss_wrapper reads it from files in `directory`.
    """
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        users, groups = directory / "passwd", directory / "group"
        line = f"owner:x:{os.geteuid()}:{os.getegid()}::{directory}:/bin/false\n"
        storage.replace(users, line.encode(), 0o600)
        storage.replace(groups, f"owner:x:{os.getegid()}:\n".encode(), 0o600)
        return {
            "LD_PRELOAD": "libnss_wrapper.so",
            "NSS_WRAPPER_PASSWD": str(users),
            "NSS_WRAPPER_GROUP": str(groups),
        }
    return {}
