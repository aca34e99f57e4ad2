"""The server leaves this machine: a set while it runs, the fence, and the final set of what came since.

The fence stands before the final set exists, and the record beside the database says so. So at every
moment the server can be started here or be restored elsewhere, and never both.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..backup.creation import make_set
from ..backup.repository import Repository
from ..backup.repository_errors import RepositoryMissingError
from ..backup.routine import perform
from ..backup.sets import read_sets
from ..database import convergence, fence, instance
from ..database.connection import connect_as_superuser, explain_refusals
from ..database.instance import Moved
from ..database.retired import refuse_retired
from ..errors import HelperError
from . import preconditions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    import psycopg

    from ..backup.manifest import SetManifest
    from ..backup.progress import Progress
    from ..backup.repository import Snapshot
    from ..database.instance import InstanceRecord
    from ..settings.backup_settings import BackupSettings

LOCK_PATIENCE: Final = "1s"
_RECENT: Final = timedelta(days=1)


def move(
    settings: BackupSettings, tell: Progress, now: Callable[[], datetime], postgres: str = ""
) -> SetManifest:
    """Shut the server here and return its final set; HelperError if it could not, and it runs on then.

    Once it is shut, this completes what was interrupted, or names the final set again. `postgres` is the
    newer version of PostgreSQL that carries the data on here, "" for another machine.
    """
    database = settings.database
    repository = Repository(settings)
    with explain_refusals(), connect_as_superuser(database, tell=tell) as superuser:
        record = fence.require_record(superuser, database)
        refuse_retired(record)
        is_shut = record.moved is not None
        if postgres:
            preconditions.require_ready(superuser, settings, record)
    if not is_shut and not (postgres and _find_recent(repository, record, now(), tell)):
        tell("making a set while the server runs")
        perform(settings, "manual", tell)
    with explain_refusals(), connect_as_superuser(database, tell=tell) as superuser:
        convergence.lock(superuser, LOCK_PATIENCE)
        record = fence.require_record(superuser, database)
        time = now().isoformat(timespec="seconds")
        moved = record.moved or Moved(time=time, set="", postgres=postgres)
        record = fence.fence(superuser, database, moved)
        tell("Synapse is shut out; clients wait until the server runs again")
        manifest = _make_final_set(superuser, repository, record, tell)
        done = replace(record, moved=replace(moved, set=manifest.set))
        instance.write_record(superuser, database.database_name, done)
    if moved.postgres:
        tell(f"the final set {manifest.set} is complete, for PostgreSQL {moved.postgres}")
        return manifest
    tell(
        f"the final set {manifest.set} is complete, and this server does not start here any more. Now"
        " type `docker compose down` here, and on the other machine `docker compose run --rm restore`."
        " To stay here after all: `docker compose run --rm backup move --undo`."
    )
    return manifest


def _find_recent(
    repository: Repository, record: InstanceRecord, now: datetime, tell: Progress
) -> bool:
    """Say whether there is a set of this data that is so new that the final one adds little to it."""
    try:
        newest = next(_read_own(repository, record, repository.snapshots()), None)
    except RepositoryMissingError:
        return False
    if newest is None or not timedelta() <= now - newest.time < _RECENT:
        return False
    tell(f"the set {newest.set} is less than a day old, so none is made while the server runs")
    return True


def find_final_set(
    repository: Repository, record: InstanceRecord, snapshots: tuple[Snapshot, ...]
) -> SetManifest | None:
    """Return the final set that was made of this data in its present epoch, among `snapshots`."""
    own = _read_own(repository, record, snapshots)
    return next((manifest for manifest in own if manifest.kind == "final"), None)


def _read_own(
    repository: Repository, record: InstanceRecord, snapshots: tuple[Snapshot, ...]
) -> Iterator[SetManifest]:
    """Yield the manifests of the sets of this data in its present epoch, newest first."""
    for found in read_sets(repository, snapshots):
        if (found.manifest.instance, found.manifest.epoch) == (record.id, record.epoch):
            yield found.manifest


def _make_final_set(
    superuser: psycopg.Connection, repository: Repository, record: InstanceRecord, tell: Progress
) -> SetManifest:
    try:
        known = find_final_set(repository, record, repository.recall_snapshots())
        return known or make_set(repository.settings, repository, "final", tell)
    except BaseException as error:
        _give_up(superuser, repository, record, tell)
        if isinstance(error, HelperError):
            raise HelperError(
                f"the server did not move, and runs on here: {error.message}"
            ) from error
        raise


def _give_up(
    superuser: psycopg.Connection, repository: Repository, record: InstanceRecord, tell: Progress
) -> None:
    """Lift the fence, if it is certain that the final set does not exist."""
    try:
        final = find_final_set(repository, record, repository.snapshots())
    except HelperError as error:
        raise HelperError(
            "the move failed, and whether the final set was stored cannot be found out, so the server"
            f" stays shut: {error.message} Run `docker compose run --rm backup move` again, or"
            " `docker compose run --rm backup move --undo`."
        ) from error
    if final is not None:
        raise HelperError(
            f"the move was interrupted after the final set {final.set} was stored, so the server stays"
            " shut: run `docker compose run --rm backup move` again, or `docker compose run --rm backup"
            " move --undo`."
        )
    fence.lift(superuser, repository.settings.database, record.epoch)
    tell("the fence is lifted: Synapse runs on here")
