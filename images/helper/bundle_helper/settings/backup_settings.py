"""The settings of backup and restore, from the environment. Nothing has a default."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from .backup_schedule import NONE, parse_at, parse_drill
from .database_settings import DatabaseSettings, read_database
from .environment import Environment, parse_path, read_secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import time, timedelta
    from pathlib import Path

_HIGHEST_ID: Final = 2**31 - 1
_LONGEST_CYCLE: Final = 365
_STAGING: Final = ".restoring"
_STAGED: Final = "_restoring"
# PostgreSQL cuts longer names off.
_LONGEST_NAME: Final = 63


@dataclass(frozen=True, kw_only=True)
class RepositorySettings:
    """Where the sets are kept: `location` is restic's word for it, `name` the operator's."""

    location: str
    name: str
    password_file: Path
    credentials_file: Path | None
    ssh_key_file: Path | None
    known_hosts_file: Path | None
    # Then it is not locked either: a lock is a file in it.
    read_only: bool

    @property
    def is_folder(self) -> bool:
        """Whether the repository is a directory on this machine."""
        return self.location.startswith("/")


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How many days, weeks and months keep their newest set."""

    daily: int
    weekly: int
    monthly: int


@dataclass(frozen=True, kw_only=True)
class BackupSettings:
    """What the `backup` and `restore` commands need.

    `at` is the time of day in UTC at which a set is made, None where sets are made by hand alone;
    `verify` the days in which the whole repository is read once; `exclude` the folder of the
    repository, where it is inside the bundle. Only the service `backup` has a report directory, and only a
    restore for a full drill a `drill_file`, in which it says what it restored.
    """

    database: DatabaseSettings
    verify_key: str
    old_verify_keys: frozenset[str]
    product_version: str
    images: Mapping[str, str]
    bundle_directory: Path
    media_directory: Path
    media_owner: int
    state_directory: Path
    runtime_directory: Path
    report_directory: Path | None
    drill_file: Path | None
    repository: RepositorySettings
    at: time | None
    keep: Retention
    append_only: bool
    remote_media: bool
    verify: int
    drill: timedelta | None
    exclude: Path | None

    @property
    def own_keys(self) -> frozenset[str]:
        """The public halves of every signing key that the server had."""
        return self.old_verify_keys | {self.verify_key}

    @property
    def server_name(self) -> str:
        """The Matrix server name."""
        return self.database.server_name

    @property
    def staging_directory(self) -> Path:
        """Where a restore puts files until all is proved: in the same volume, so that they can be renamed."""
        return self.media_directory / _STAGING

    @property
    def staged(self) -> BackupSettings:
        """The same with the database that a restore fills, which has another name until all is proved."""
        name = self.database.database_name[: _LONGEST_NAME - len(_STAGED)] + _STAGED
        return replace(self, database=replace(self.database, database_name=name))

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> BackupSettings:
        """Read `environ` and the secret files it names; InvalidEnvironmentError lists every problem.

        Each user has a directory of its own in the state directory.
        """
        environment = Environment(environ)
        reports, drills = "REPORT_DIRECTORY" in environ, "DRILL_FILE" in environ
        settings = cls(
            database=DatabaseSettings(**read_database(environment)),
            verify_key=environment.verify_key("VERIFY_KEY"),
            old_verify_keys=environment.verify_keys("OLD_VERIFY_KEYS"),
            product_version=environment.text("PRODUCT_VERSION"),
            images=environment.read("IMAGES", _parse_images, {}),
            bundle_directory=environment.path("BUNDLE_DIRECTORY"),
            media_directory=environment.path("MEDIA_DIRECTORY"),
            media_owner=environment.number("MEDIA_OWNER", _HIGHEST_ID),
            state_directory=environment.path("STATE_DIRECTORY") / str(os.geteuid()),
            runtime_directory=environment.path("RUNTIME_DIRECTORY"),
            report_directory=environment.path("REPORT_DIRECTORY") if reports else None,
            drill_file=environment.path("DRILL_FILE") if drills else None,
            repository=_read_repository(environment, read_only=drills),
            at=environment.read("BACKUP_AT", parse_at, None),
            keep=environment.read(
                "BACKUP_KEEP", _parse_keep, Retention(daily=1, weekly=0, monthly=0)
            ),
            append_only=environment.yes_or_no("BACKUP_APPEND_ONLY"),
            remote_media=environment.yes_or_no("BACKUP_REMOTE_MEDIA"),
            verify=environment.number("BACKUP_VERIFY", _LONGEST_CYCLE),
            drill=environment.read("BACKUP_DRILL", parse_drill, None),
            exclude=environment.read("BACKUP_EXCLUDE", _parse_exclude, None),
        )
        environment.raise_problems()
        return settings


def _read_repository(environment: Environment, *, read_only: bool) -> RepositorySettings:
    return RepositorySettings(
        location=environment.text("BACKUP_REPOSITORY"),
        name=environment.text("BACKUP_REPOSITORY_NAME"),
        password_file=environment.checked_file("BACKUP_PASSWORD_FILE", read_secret),
        credentials_file=environment.optional_file("BACKUP_CREDENTIALS_FILE", without=NONE),
        ssh_key_file=environment.optional_file("BACKUP_SSH_KEY_FILE", without=NONE),
        known_hosts_file=environment.optional_file("BACKUP_KNOWN_HOSTS_FILE", without=NONE),
        read_only=read_only,
    )


def _parse_keep(text: str) -> Retention:
    match = re.fullmatch(r"daily=([0-9]{1,4}) weekly=([0-9]{1,4}) monthly=([0-9]{1,4})", text)
    if not match:
        raise ValueError(f"{text!r} is not of the form daily=7 weekly=5 monthly=12")
    daily, weekly, monthly = (int(number) for number in match.groups())
    return Retention(daily=daily, weekly=weekly, monthly=monthly)


def _parse_images(text: str) -> dict[str, str]:
    """Return the reference of each image of `name=reference name=reference`."""
    images = dict(entry.partition("=")[::2] for entry in text.split())
    if not all(images.values()):
        raise ValueError(f"{text!r} is not of the form postgres=<reference> synapse=<reference>")
    return images


def _parse_exclude(text: str) -> Path | None:
    return None if text == NONE else parse_path(text)
