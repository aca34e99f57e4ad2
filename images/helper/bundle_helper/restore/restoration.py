"""The order of a restore: everything is loaded and proved, then takes its place, and is marked as whole at the end.

From the first change to the last, the record beside the database names the set, the bootstrap refuses to
start, and Synapse's role cannot log in. So a restore that was cut off is known, and starts again from
an empty database and empty media, which only then may be deleted.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from ..backup.repository import Repository
from ..backup.sets import choose_set, read_takeovers
from ..database import convergence, instance
from ..database.connection import connect_as_superuser, explain_refusals
from ..database.instance import InstanceRecord
from ..database.role import ensure_role
from . import checks, cures, loading, media, staging
from .takeover import choose_epoch, take_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import psycopg

    from ..backup.manifest import SetManifest
    from ..backup.progress import Progress
    from ..backup.sets import BackupSet, Takeover
    from ..settings.backup_settings import BackupSettings
    from ..settings.database_settings import DatabaseSettings

_LOCK_PATIENCE: Final = "1s"


@dataclass(frozen=True, kw_only=True)
class Restoration:
    """One restore that nothing forbids.

    `record` is that of the restored data. `interrupted`: an earlier restore was cut off after its first change.
    """

    settings: BackupSettings
    repository: Repository
    superuser: psycopg.Connection
    chosen: BackupSet
    takeovers: tuple[Takeover, ...]
    record: InstanceRecord
    tell: Progress
    interrupted: bool = False

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
        with prepare(settings, name, tell) as run, staging.stage(run) as staged:
            _take_place(run, staged, now())
    finally:
        media.give_back(settings.repository)
    return run.manifest


@contextlib.contextmanager
def prepare(settings: BackupSettings, name: str | None, tell: Progress) -> Iterator[Restoration]:
    """Yield the restore of the set called `name`, or of the newest; HelperError if it cannot be restored here.

    No other restore, move or bootstrap runs meanwhile.
    """
    repository = Repository(settings)
    with explain_refusals(), connect_as_superuser(settings.database, tell=tell) as superuser:
        convergence.lock(superuser, _LOCK_PATIENCE)
        # Beside the questions, which wait for restic more than they compute; the load takes every processor.
        with checks.explain_damage(), checks.checking_repository(settings):
            run = _prepare(settings, repository, superuser, name, tell)
        yield run


def _prepare(
    settings: BackupSettings,
    repository: Repository,
    superuser: psycopg.Connection,
    name: str | None,
    tell: Progress,
) -> Restoration:
    record = instance.read_record(superuser, settings.database.database_name)
    # Listed once: restic derives its key from the password anew for each answer.
    snapshots = repository.snapshots()
    chosen = choose_set(repository, snapshots, name)
    manifest = chosen.manifest
    checks.require_same_server(settings, manifest)
    checks.require_database_version(superuser, manifest)
    checks.require_stopped(superuser, settings.database)
    interrupted = record is not None and record.restoring is not None
    if not interrupted:
        checks.require_empty(superuser, settings, record)
    checks.require_room(repository, chosen, checks.measure_remains(superuser, settings))
    resumed = record is not None and record.restoring == manifest.set
    chosen_id = record.id if record is not None and resumed else instance.create_id()
    takeovers = read_takeovers(repository, snapshots)
    epoch = choose_epoch(manifest, takeovers, chosen_id)
    return Restoration(
        settings=settings,
        repository=repository,
        superuser=superuser,
        chosen=chosen,
        takeovers=takeovers,
        record=InstanceRecord(id=chosen_id, epoch=epoch, restoring=manifest.set),
        tell=tell,
        interrupted=interrupted,
    )


def _take_place(run: Restoration, staged: Restoration, now: datetime) -> None:
    instance.write_record(run.superuser, run.database.database_name, run.record)
    loading.shut_out(run.superuser, run.database)
    with ThreadPoolExecutor(1) as pool:
        statistics = pool.submit(loading.gather_statistics, staged.database)
        # Before Synapse can start: whoever asks from now on learns that the set is taken.
        taken = take_over(run)
        statistics.result()
    if not taken:
        cure(staged, now)
    staging.take_place(run, staged)
    instance.write_folder(run.database, run.record.id)
    open_database(run)
    run.tell(f"restored the set {run.manifest.set}; start the server with `docker compose up -d`")


def restore_database(run: Restoration, cure_at: datetime | None) -> None:
    """Load the dump in place and compare it; cure what is older than its clients, if the time is given."""
    run.tell("restoring the database")
    loading.shut_out(run.superuser, run.database)
    loading.create_empty(run.superuser, run.database)
    report = run.tell.follow("database")
    differences = loading.load_and_prove(run.settings, run.repository, run.manifest, report)
    loading.require_equal(differences, "The server does not start with it.")
    loading.gather_statistics(run.database)
    if cure_at is not None:
        cure(run, cure_at)


def cure(run: Restoration, now: datetime) -> None:
    """Change what in the restored database is older than its clients, and say so."""
    with loading.connect_to_data(run.database) as connection:
        for change in cures.cure(connection, run.manifest, now):
            run.tell(change)
    run.tell(
        f"what happened after {run.manifest.time:%Y-%m-%d %H:%M:%S} UTC is not in this set; whoever"
        " signed in after that has to sign in again"
    )


def open_database(run: Restoration) -> None:
    """Let Synapse log in, and say that the restored data is whole."""
    ensure_role(run.superuser, run.database)
    convergence.revoke_public(run.superuser, run.database)
    convergence.prove(run.database)
    done = replace(run.record, restoring=None)
    instance.write_record(run.superuser, run.database.database_name, done)
