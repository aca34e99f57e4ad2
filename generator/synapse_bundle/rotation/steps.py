"""The steps of a rotation, in order. Each may be done again, so a run that was cut off is repeated whole.

Where a program accepts two values at once (the repository of backups), the new one is admitted
before it is written, and the old one dismissed at the end. Everywhere else the new one is written, and
becomes valid with the restart: PostgreSQL and the bootstrap give the roles their new passwords before
Synapse starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from .. import engine, pipeline
from ..credentials.file_names import (
    ADMIN_PASSWORD,
    BACKUP_PASSWORD,
    DIRECTORY,
    OLD_SIGNING_KEYS,
    REGISTRATION,
)
from ..errors import BundleError, SettingsError
from ..settings.model import Settings
from . import bundle_containers, journal, renewal
from .journal import Journal
from .rotatable import ROTATABLE

# Until Synapse has restarted it signs with the old key, and what it signs has to be valid.
_RESTART: Final = timedelta(minutes=10)
_CHECK_USER: Final = "synapse-bundle-check"


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """A rotation that has begun, and where; `base` is what file names in the settings are relative to."""

    journal: Journal
    settings: Settings
    bundle: Path
    base: Path
    running: bool

    def prepare(self) -> pipeline.Preparation:
        """Plan the bundle with the new secrets; write nothing."""
        path = self.bundle / DIRECTORY / OLD_SIGNING_KEYS
        kept = path.read_text(encoding="utf-8") if path.is_file() else ""
        expiry = datetime.now(UTC) + (_RESTART if self.running else timedelta())
        given = renewal.complete(self.journal, kept, self.bundle, expiry)
        return pipeline.prepare(self.settings, self.bundle, self.base, given, force=False)


class RotationStep(NamedTuple):
    """One step: what it says that it does, and the function."""

    title: str
    carry_out: Callable[[Rotation], None]


def list_steps(rotation: Rotation) -> Iterator[RotationStep]:
    """Yield the steps that a rotation takes; without running containers those that need none."""
    names, running = rotation.journal.names, rotation.running
    yield RotationStep("note what is about to change", _note)
    if BACKUP_PASSWORD in names:
        yield RotationStep("let the new password open the backups", _admit)
    yield RotationStep("write the new secrets", _write)
    if running:
        yield RotationStep("restart what reads them", _restart)
    if running and REGISTRATION in names:
        yield RotationStep("give the account of `check` its new password", _renew_check_user)
    if running and ADMIN_PASSWORD in names:
        yield RotationStep("give the administrator the new password", _renew_administrator)
    if BACKUP_PASSWORD in names:
        yield RotationStep("let the old password no longer open the backups", _dismiss)


def _note(rotation: Rotation) -> None:
    journal.write(rotation.bundle, rotation.journal)


def _admit(rotation: Rotation) -> None:
    new = rotation.journal.new[BACKUP_PASSWORD]
    bundle_containers.ask_backup(rotation.bundle, "password", "admit", given=new)


def _write(rotation: Rotation) -> None:
    pipeline.carry_out(rotation.prepare(), rotation.bundle)


def _restart(rotation: Rotation) -> None:
    engine.start(rotation.bundle, rotation.settings.ports)


def _renew_check_user(rotation: Rotation) -> None:
    bundle_containers.ask_helper(rotation.bundle, "user", "password", _CHECK_USER)


def _renew_administrator(rotation: Rotation) -> None:
    name = rotation.settings.admin
    bundle_containers.ask_helper(rotation.bundle, "user", "password", name, "--initial")


def _dismiss(rotation: Rotation) -> None:
    old = rotation.journal.old[BACKUP_PASSWORD]
    bundle_containers.ask_backup(rotation.bundle, "password", "dismiss", given=old)


def perform(rotation: Rotation, report: Callable[[str], None]) -> bool:
    """Take every step; return whether the rotation is finished.

    It is not if the server does not run, and has to hold the new value too. A failure before anything
    is written ends the rotation without a change; after that the same rotation goes on with it, as the
    message says. BundleError, SettingsError.
    """
    begun = False
    for step in list_steps(rotation):
        report(step.title)
        begun = begun or step.carry_out is _write
        try:
            step.carry_out(rotation)
        except (BundleError, SettingsError) as error:
            if begun:
                raise BundleError(
                    f"{error.message}\nTo finish the rotation: {rotation.journal.command}"
                ) from error
            journal.delete(rotation.bundle)
            raise BundleError(f"{error.message} Nothing was changed.") from error
    names = rotation.journal.names
    if not rotation.running and any(ROTATABLE[name].finished_online for name in names):
        return False
    journal.delete(rotation.bundle)
    return True
