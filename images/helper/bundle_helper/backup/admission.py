"""Whether a set may be made: by one backup at a time, and of a server that is here and whole."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final

from .. import locks
from ..database.connection import connect_as_superuser
from ..database.instance import read_record
from ..database.retired import refuse_retired
from ..errors import HelperError
from .ownership import require_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ..database.instance import InstanceRecord
    from ..settings.backup_settings import BackupSettings
    from .manifest import Kind
    from .progress import Progress

# Any number, as long as it stays the same: backups of one server exclude each other by it.
_LOCK: Final = 0x53796E4261636B75


class BackupRunningError(HelperError):
    """Another backup of this server has not ended yet."""


@contextmanager
def admit(settings: BackupSettings, kind: Kind, progress: Progress) -> Iterator[InstanceRecord]:
    """Be the only backup of this server, beside no update, and return whose data it is.

    HelperError if there is another one, or nothing that may be backed up.
    """
    with connect_as_superuser(settings.database, tell=progress) as superuser:
        row = superuser.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if not row or not row[0]:
            raise BackupRunningError(
                "another backup of this server is running; wait until it has ended, then repeat"
            )
        record = read_record(superuser, settings.database.database_name)
        chosen = _require_whole(settings, record, kind)
        with _exclude_update(settings.bundle_directory):
            yield chosen


@contextmanager
def _exclude_update(folder: Path) -> Iterator[None]:
    """Keep `synapse-bundle update` out, which holds the bundle's folder while it replaces containers."""
    with ExitStack() as held:
        try:
            held.enter_context(locks.lock_directory(folder, wait=False))
        except BlockingIOError:
            raise BackupRunningError(
                "`synapse-bundle update` is running; wait until it has ended, then repeat"
            ) from None
        except OSError:
            # A disk that knows no locks; the database has one for backups.
            pass
        yield


def _require_whole(
    settings: BackupSettings, record: InstanceRecord | None, kind: Kind
) -> InstanceRecord:
    """Return the record; HelperError unless it is that of a server that is here and whole."""
    if record is None:
        raise HelperError(
            "this server has not been started yet, so there is nothing to back up:"
            " `docker compose up -d --wait`, then repeat"
        )
    if record.restoring is not None:
        raise HelperError(
            "a restore was interrupted, so there is nothing to back up: run"
            " `docker compose run --rm restore` again"
        )
    refuse_retired(record)
    # A set of a fenced server would be newer than its last one, and be what `restore` takes.
    if record.moved is not None and kind != "final":
        raise HelperError(
            "this server has moved to another machine, so there is nothing to back up. The way"
            " back: `docker compose run --rm backup move --undo`"
        )
    require_server(settings, record)
    return record
