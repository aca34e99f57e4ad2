"""The `backup` block of the settings: where sets go, when one is made, which are kept."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, field_validator
from pydantic import ValidationInfo as Info

from .block import Block
from .names import FileName
from .repository import Kind, RepositoryPlace, tell_kind

# The helper has the same limits; tests/bundle/test_contract.py compares them.
_MOST_KEPT: Final = 9999
_LONGEST_CYCLE: Final = 365
_TITLES: Final[dict[str, str]] = {"folder": "a folder", "s3": "s3", "sftp": "sftp", "rest": "rest"}
# Which kinds of repository each file is for, and what it holds.
_FILES: Final = {
    "credentials": ({"s3", "rest"}, "a file with AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=…"),
    "ssh_key": ({"sftp"}, "the file of a private key without a passphrase"),
    "known_hosts": ({"sftp"}, "a file with the host's key; make one with: ssh-keyscan HOST"),
}


def _check_time(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError('is not a time of day; use for example "03:30" (UTC)')
    return text


def _check_count(number: int) -> int:
    if not 0 <= number <= _MOST_KEPT:
        raise ValueError(f"must be between 0 and {_MOST_KEPT}, not {number}")
    return number


def _check_cycle(days: int) -> int:
    if not 1 <= days <= _LONGEST_CYCLE:
        raise ValueError(f"must be between 1 and {_LONGEST_CYCLE} days, not {days}")
    return days


TimeOfDay = Annotated[str, AfterValidator(_check_time)]
Count = Annotated[int, AfterValidator(_check_count)]
Days = Annotated[int, AfterValidator(_check_cycle)]
NamedFile = Annotated[FileName | None, Field(validate_default=True)]


class KeepSettings(Block):
    """Of how many days, weeks and months the newest set is kept."""

    daily: Count = 7
    weekly: Count = 5
    monthly: Count = 12


class BackupPolicy(Block):
    """How the server is backed up; without the block into `./backups`, by hand.

    `at` is a time in UTC, `verify` the days in which the whole repository is read once.
    """

    repository: RepositoryPlace = "./backups"
    credentials: NamedFile = None
    ssh_key: NamedFile = None
    known_hosts: NamedFile = None
    at: TimeOfDay | None = None
    keep: KeepSettings = KeepSettings()
    append_only: bool = False
    remote_media: bool = False
    verify: Days = 30
    drill: Literal["none", "daily", "weekly", "monthly"] = "weekly"

    @field_validator("credentials", "ssh_key", "known_hosts")
    @classmethod
    def _check_file(cls, file: str | None, info: Info) -> str | None:
        repository = info.data.get("repository")
        if repository is None or info.field_name is None:
            return file
        kind = tell_kind(repository)
        kinds, content = _FILES[info.field_name]
        if file and kind not in kinds:
            raise ValueError(f"does not apply to {_TITLES[kind]}; remove {info.field_name}")
        if file and repository.startswith("rest:http:"):
            raise ValueError("would be readable on its way; use an https address")
        # A rest-server may do without.
        if not file and kind in kinds - {"rest"}:
            raise ValueError(f"needs `{info.field_name}` with {kind}: {content}")
        return file

    @field_validator("keep")
    @classmethod
    def _check_keep(cls, keep: KeepSettings) -> KeepSettings:
        if not (keep.daily or keep.weekly or keep.monthly):
            raise ValueError("keeps no set at all; give at least one of daily, weekly, monthly")
        return keep

    @property
    def kind(self) -> Kind:
        """What kind of place the repository is."""
        return tell_kind(self.repository)

    @property
    def scheduled(self) -> bool:
        """Whether sets are made by a schedule, not by hand alone."""
        return self.at is not None
