"""The routine: the repository is opened, a set made and noted, and old ones are looked after."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import HelperError
from . import report
from .admission import BackupRunningError
from .creation import make_set
from .maintenance import maintain
from .manifest import COMPLETE_KINDS
from .ownership import open_repository
from .repository import Repository
from .throttle import throttling

if TYPE_CHECKING:
    from ..settings.backup_settings import BackupSettings
    from .manifest import Kind, SetManifest
    from .progress import Progress


def perform(
    settings: BackupSettings, kind: Kind, progress: Progress, *, accept_new: bool = False
) -> SetManifest:
    """Make a set, and note it or what is wrong; HelperError if there is none, or a damaged repository."""
    try:
        return _make(settings, kind, progress, accept_new=accept_new)
    except BackupRunningError:
        # The other one notes how it ends.
        raise
    except HelperError as error:
        _note_problem(settings, error.message)
        raise
    except OSError as error:
        message = f"{error.filename or 'a file'} cannot be used: {error.strerror}"
        _note_problem(settings, message)
        raise HelperError(message) from error


def try_to_perform(settings: BackupSettings, progress: Progress) -> bool:
    """Make the scheduled set, and say what is wrong instead of raising; return whether there is one."""
    try:
        perform(settings, "scheduled", progress)
    except HelperError as error:
        progress(error.message)
        return False
    return True


def _make(
    settings: BackupSettings, kind: Kind, progress: Progress, *, accept_new: bool
) -> SetManifest:
    with throttling(settings.database) as throttle:
        repository = Repository(settings, throttle)
        open_repository(repository, accept_new=accept_new)
        manifest = make_set(settings, repository, kind, progress)
        if settings.report_directory is not None:
            report.note_set(settings.report_directory, manifest, datetime.now(UTC))
        if kind not in COMPLETE_KINDS:
            # While those are made, the server stands still.
            maintain(repository, datetime.now(UTC), progress)
    return manifest


def _note_problem(settings: BackupSettings, problem: str) -> None:
    if settings.report_directory is not None:
        report.note_problem(settings.report_directory, problem, datetime.now(UTC))
