"""How restic reaches the repository: its environment, and the files with secrets that it reads.

No secret is in an argument or in the environment of a process: both can be read by others. What
restic wants there it gets as a file in a directory in memory.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from .. import storage
from ..errors import HelperError
from .identity import name_user

if TYPE_CHECKING:
    from ..settings.backup_settings import BackupSettings

_PROFILE_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_REGION: Final = "AWS_DEFAULT_REGION"
_LOGIN: Final = ("RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD")
KNOWN_CREDENTIALS: Final = (*_PROFILE_KEYS, _REGION, *_LOGIN)
_REST: Final = "rest:"


def read_credentials(path: Path | None) -> dict[str, str]:
    """Return the credentials in a file of lines NAME=value; HelperError names the line, not the value."""
    if path is None:
        return {}
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        name, separator, value = line.strip().partition("=")
        if not name or name.startswith("#"):
            continue
        if not separator or name not in KNOWN_CREDENTIALS or not value.isprintable():
            raise HelperError(
                f"line {number} of secrets/{path.name} is not NAME=value with one of these names:"
                f" {', '.join(KNOWN_CREDENTIALS)}"
            )
        found[name] = value
    return found


def prepare_environment(settings: BackupSettings) -> dict[str, str]:
    """Write the files that restic reads, and return its environment; HelperError if one cannot be."""
    repository, directory = settings.repository, settings.runtime_directory
    credentials = read_credentials(repository.credentials_file)
    scratch = settings.state_directory / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    location = directory / "repository"
    _write(location, _add_login(repository.location, credentials))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(settings.state_directory),
        "TMPDIR": str(scratch),
        "RESTIC_CACHE_DIR": str(settings.state_directory / "cache"),
        "RESTIC_REPOSITORY_FILE": str(location),
        "RESTIC_PASSWORD_FILE": str(repository.password_file),
        "RESTIC_PROGRESS_FPS": "1",
        # More would only take memory: it waits for PostgreSQL, and gives way to the server.
        "GOMAXPROCS": "2",
    }
    keys = {name.lower(): credentials[name] for name in _PROFILE_KEYS if name in credentials}
    if keys:
        profile = directory / "object_storage"
        _write(profile, "\n".join(["[default]", *(f"{k} = {v}" for k, v in keys.items())]))
        environment["AWS_SHARED_CREDENTIALS_FILE"] = str(profile)
    if repository.ssh_key_file is not None:
        environment |= name_user(directory)
    if _REGION in credentials:
        environment[_REGION] = credentials[_REGION]
    return environment


def list_options(settings: BackupSettings) -> list[str]:
    """Return restic's options for the repository: with SFTP the arguments of ssh, which asks nothing."""
    repository, directory = settings.repository, settings.runtime_directory
    if repository.ssh_key_file is None or repository.known_hosts_file is None:
        return []
    key = directory / "ssh_key"
    # ssh refuses a key that others may read, and the file in the bundle may have any mode.
    _write(key, repository.ssh_key_file.read_text(encoding="utf-8").strip())
    words = {
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(repository.known_hosts_file),
        "GlobalKnownHostsFile": "none",
        "ServerAliveInterval": "30",
        "ConnectTimeout": "30",
    }
    arguments = ["-F", "none", "-i", str(key)]
    arguments += [part for name, value in words.items() for part in ("-o", f"{name}={value}")]
    return ["--option", f"sftp.args={shlex.join(arguments)}"]


def _add_login(location: str, credentials: dict[str, str]) -> str:
    """Return the location of a rest-server with user and password in it; any other as it is."""
    if not location.startswith(_REST) or not all(name in credentials for name in _LOGIN):
        return location
    user, password = (quote(credentials[name], safe="") for name in _LOGIN)
    parts = urlsplit(location.removeprefix(_REST))
    return _REST + parts._replace(netloc=f"{user}:{password}@{parts.netloc}").geturl()


def _write(path: Path, text: str) -> None:
    try:
        storage.replace(path, f"{text}\n".encode(), 0o600)
    except OSError as error:
        raise HelperError(
            f"{path} cannot be written ({error.strerror}): run this with `docker compose run --rm"
            " backup`, whose container has a directory in memory there"
        ) from error
