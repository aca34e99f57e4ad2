"""The database of this very server goes back to one of its own sets, as when an update failed; its files stay.

The record beside the database names the set meanwhile, as in any restore, so one that was cut off starts again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import TYPE_CHECKING, Final

import psycopg

from ..backup.repository import Repository
from ..backup.sets import find_set
from ..database import convergence, instance
from ..database.connection import connect_as_superuser, explain_refusals
from ..errors import HelperError
from . import checks, loading
from .restoration import Restoration, open_database, restore_database

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ..backup.manifest import SetManifest
    from ..backup.progress import Progress
    from ..database.instance import InstanceRecord
    from ..settings.backup_settings import BackupSettings
    from ..settings.database_settings import DatabaseSettings

_LOCK_PATIENCE: Final = "1s"


def roll_back(
    settings: BackupSettings, name: str | None, tell: Progress, now: Callable[[], datetime]
) -> SetManifest:
    """Replace the database by that of this server's set called `name`, or of its newest; return the manifest.

    No file is missing then: a file is there before the row that names it. HelperError if it cannot be.
    """
    repository = Repository(settings)
    with explain_refusals(), connect_as_superuser(settings.database, tell=tell) as superuser:
        convergence.lock(superuser, _LOCK_PATIENCE)
        with checks.explain_damage():
            run = _verify(settings, repository, superuser, name, tell)
        tell(_describe_loss(run.database, run.manifest))
        instance.write_record(superuser, run.database.database_name, run.record)
        restore_database(run, now())
        open_database(run)
    tell(f"restored the database of the set {run.manifest.set}; all files were kept")
    return run.manifest


def _verify(
    settings: BackupSettings,
    repository: Repository,
    superuser: psycopg.Connection,
    name: str | None,
    tell: Progress,
) -> Restoration:
    chosen = find_set(repository, name)
    record = instance.read_record(superuser, settings.database.database_name)
    checks.require_same_server(settings, chosen.manifest)
    own = _require_own(record, chosen.manifest)
    checks.require_database_version(superuser, chosen.manifest)
    checks.require_stopped(superuser, settings.database)
    tell(f"verifying the database of the set {chosen.manifest.set}")
    checks.verify_dump(repository, chosen.manifest, tell)
    return Restoration(
        settings=settings,
        repository=repository,
        superuser=superuser,
        chosen=chosen,
        takeovers=(),
        record=replace(own, restoring=chosen.manifest.set),
        tell=tell,
    )


def _require_own(record: InstanceRecord | None, manifest: SetManifest) -> InstanceRecord:
    """Return the record; HelperError unless the set was made of the very data that is here."""
    if record is None or record.id != manifest.instance or record.moved is not None:
        raise HelperError(
            f"the set {manifest.set} was not made of the data that is here, so it is not what this database"
            " goes back to. Nothing was changed."
        )
    if record.restoring not in {None, manifest.set}:
        raise HelperError(
            f"the set {record.restoring} is being restored; finish that first. Nothing was changed."
        )
    return record


def _describe_loss(database: DatabaseSettings, manifest: SetManifest) -> str:
    """Return what the database has that the set has not; it may be half restored already.

    An event that was received before the set may have been stored after it, which only the number of
    rows shows; where Synapse has deleted old ones meanwhile, only the time shows the new ones.
    """
    since = f"since {manifest.time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    query = "SELECT greatest(count(*) - %s, count(*) FILTER (WHERE received_ts > %s)) FROM public.events"
    events = manifest.tables.get("events")
    moment = int(manifest.time.timestamp() * 1000)
    try:
        with loading.connect_to_data(database) as connection:
            row = connection.execute(query, (events.rows if events else 0, moment)).fetchone()
    except psycopg.Error:
        return f"LOST: everything {since}"
    return f"LOST: {row[0] if row else 0} events {since}, and whatever else was changed"
