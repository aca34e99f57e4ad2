"""The order of a restore: everything is verified, then replaced, and marked as whole at the end.

From the first change to the last, the record beside the database names the set, the bootstrap refuses to
start, and Synapse's role cannot log in. So a restore that was cut off is known, and starts again from
an empty database and empty media, which only then may be deleted.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..backup.repository import Repository
from ..backup.sets import find_set, takeovers
from ..database import convergence, instance
from ..database.connection import connect_as_superuser, explain_refusals
from ..database.instance import InstanceRecord
from ..database.role import ensure_role
from ..errors import HelperError
from . import checks, cures, loading, media
from .takeover import choose_epoch, take_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import psycopg

    from ..backup.manifest import SetManifest
    from ..backup.progress import Progress
    from ..backup.sets import BackupSet
    from ..settings.backup_settings import BackupSettings
    from ..settings.database_settings import DatabaseSettings

_LOCK_PATIENCE: Final = "1s"


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """One restore, of which everything has been verified."""

    settings: BackupSettings
    repository: Repository
    superuser: psycopg.Connection
    chosen: BackupSet
    record: InstanceRecord
    tell: Progress

    @property
    def database(self) -> DatabaseSettings:
        """How PostgreSQL is reached."""
        return self.settings.database

    @property
    def manifest(self) -> SetManifest:
        """What the set says of itself."""
        return self.chosen.manifest


def restore(
    settings: BackupSettings, name: str | None, tell: Progress, now: Callable[[], datetime]
) -> SetManifest:
    """Restore the set called `name`, or the newest, and return its manifest; HelperError if it cannot be."""
    try:
        with verify_set(settings, name, tell) as restoration:
            _replace(restoration, now())
    finally:
        media.give_back(settings.repository)
    return restoration.manifest


@contextlib.contextmanager
def verify_set(settings: BackupSettings, name: str | None, tell: Progress) -> Iterator[Restoration]:
    """Yield the restore of the set called `name`, or of the newest, when all of it has been verified.

    Nothing has been changed until then. HelperError if it cannot be restored here.
    """
    repository = Repository(settings)
    with explain_refusals(), connect_as_superuser(settings.database, tell=tell) as superuser:
        convergence.lock(superuser, _LOCK_PATIENCE)
        with checks.explain_damage():
            restoration = _verify(settings, repository, superuser, name, tell)
        yield restoration


def _verify(
    settings: BackupSettings,
    repository: Repository,
    superuser: psycopg.Connection,
    name: str | None,
    tell: Progress,
) -> Restoration:
    record = instance.read_record(superuser, settings.database.database_name)
    chosen = find_set(repository, name)
    manifest = chosen.manifest
    checks.require_same_server(settings, manifest)
    checks.require_database_version(superuser, manifest)
    checks.require_stopped(superuser, settings.database)
    remains = checks.Remains()
    if record is None or record.restoring is None:
        checks.require_empty(superuser, settings, record)
    else:
        remains = checks.measure_remains(superuser, settings)
    checks.require_room(settings, chosen, remains)
    tell(f"verifying the set {manifest.set} of {manifest.time:%Y-%m-%d %H:%M} UTC")
    checks.verify_repository(repository, chosen, tell)
    resumed = record is not None and record.restoring == manifest.set
    chosen_id = record.id if record is not None and resumed else instance.create_id()
    epoch = choose_epoch(manifest, takeovers(repository), chosen_id)
    return Restoration(
        settings=settings,
        repository=repository,
        superuser=superuser,
        chosen=chosen,
        record=InstanceRecord(id=chosen_id, epoch=epoch, restoring=manifest.set),
        tell=tell,
    )


def _replace(run: Restoration, now: datetime) -> None:
    instance.write_record(run.superuser, run.database.database_name, run.record)
    # Before a byte of the set is used: whoever asks from now on learns that it is taken.
    is_newest = take_over(run.repository, run.manifest, run.record.id, run.record.epoch, run.tell)
    restore_database(run, None if is_newest else now)
    run.tell("restoring the files")
    media.restore_media(run.repository, run.chosen, run.tell.follow("files"))
    _admit_synapse(run)


def restore_database(run: Restoration, cure_at: datetime | None) -> None:
    """Load the dump and compare it; cure what is older than its clients, if the time is given."""
    run.tell("restoring the database")
    loading.create_empty(run.superuser, run.database)
    loading.load_dump(run.settings, run.repository, run.manifest, run.tell.follow("database"))
    run.tell("comparing every table with the set")
    if differences := loading.compare_tables(run.database, run.manifest):
        raise HelperError(
            "the restored database is not what was saved:\n  "
            + "\n  ".join(differences)
            + "\nThe server does not start with it. Restore another set, which `docker compose run --rm"
            " backup list` shows."
        )
    with loading.connect_to_data(run.database) as connection:
        if cure_at is not None:
            _cure(run, connection, cure_at)
        connection.execute("ANALYZE")


def _cure(run: Restoration, connection: psycopg.Connection, now: datetime) -> None:
    for change in cures.cure(connection, run.manifest, now):
        run.tell(change)
    run.tell(
        f"what happened after {run.manifest.time:%Y-%m-%d %H:%M:%S} UTC is not in this set; whoever"
        " signed in after that has to sign in again"
    )


def _admit_synapse(run: Restoration) -> None:
    """Make the restored data this folder's own; the very last step says that it is whole."""
    instance.write_folder(run.database, run.record.id)
    open_database(run)
    run.tell(f"restored the set {run.manifest.set}; start the server with `docker compose up -d`")


def open_database(run: Restoration) -> None:
    """Let Synapse log in, and say that the restored data is whole."""
    ensure_role(run.superuser, run.database)
    convergence.revoke_public(run.superuser, run.database)
    convergence.prove(run.database)
    done = replace(run.record, restoring=None)
    instance.write_record(run.superuser, run.database.database_name, done)
