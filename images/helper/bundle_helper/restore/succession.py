"""A newer PostgreSQL takes over the database of this very server, beside the files that are here.

The set is the final one that the older PostgreSQL left behind its fence, so nothing in it is too old for its
clients, and the data keeps its id. Its epoch is the next one: the final set is not that of the new data.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from ..backup.repository import Repository
from ..backup.sets import choose_set, read_takeovers
from ..database import convergence, instance
from ..database.connection import connect_as_superuser, explain_refusals
from ..database.instance import InstanceRecord
from ..errors import HelperError
from . import checks, media
from .restoration import Restoration, open_database, restore_database
from .takeover import choose_epoch, take_over

if TYPE_CHECKING:
    import psycopg

    from ..backup.progress import Progress
    from ..backup.sets import BackupSet
    from ..settings.backup_settings import BackupSettings

_LOCK_PATIENCE: Final = "1s"


def succeed(settings: BackupSettings, tell: Progress) -> None:
    """Load the final set of this folder's server and let Synapse in; HelperError if that cannot be.

    Once it is whole this does nothing, and what was cut off begins again with an empty database.
    """
    try:
        with explain_refusals(), connect_as_superuser(settings.database, tell=tell) as superuser:
            convergence.lock(superuser, _LOCK_PATIENCE)
            record = instance.read_record(superuser, settings.database.database_name)
            if record is not None and record.restoring is None:
                tell("the database is here already")
                return
            with checks.explain_damage():
                run = _prepare(settings, superuser, record, tell)
            _take_over(run)
    finally:
        media.give_back(settings.repository)


def _prepare(
    settings: BackupSettings,
    superuser: psycopg.Connection,
    record: InstanceRecord | None,
    tell: Progress,
) -> Restoration:
    repository = Repository(settings)
    snapshots = repository.snapshots()
    chosen = choose_set(repository, snapshots, None)
    manifest = chosen.manifest
    checks.require_same_server(settings, manifest)
    checks.require_database_version(superuser, manifest)
    checks.require_stopped(superuser, settings.database)
    _require_own_final(settings, chosen)
    held = checks.describe_database(superuser, settings.database) if record is None else None
    if held:
        raise HelperError(f"{held}. Nothing was changed: a restore replaces nothing.")
    checks.require_room(repository, chosen, checks.Remains(), files=False)
    takeovers = read_takeovers(repository, snapshots)
    epoch = choose_epoch(manifest, takeovers, manifest.instance)
    return Restoration(
        settings=settings,
        repository=repository,
        superuser=superuser,
        chosen=chosen,
        takeovers=takeovers,
        record=InstanceRecord(id=manifest.instance, epoch=epoch, restoring=manifest.set),
        tell=tell,
    )


def _require_own_final(settings: BackupSettings, chosen: BackupSet) -> None:
    """HelperError unless the set is the last state of the data that the files here belong to."""
    manifest = chosen.manifest
    if manifest.kind != "final" or manifest.instance != instance.read_folder(settings.database):
        raise HelperError(
            f"the newest set, {manifest.set}, is not the final one of the data of this folder, so the files"
            " here do not belong to it. Nothing was changed. Go back with `synapse-bundle"
            " upgrade-database --undo`."
        )


def _take_over(run: Restoration) -> None:
    instance.write_record(run.superuser, run.database.database_name, run.record)
    with ThreadPoolExecutor(1) as pool:
        # Beside the load: restic takes half a second for each answer.
        is_newest = pool.submit(_check_and_take_over, run)
        restore_database(run, None)
        if not is_newest.result():
            raise HelperError(
                f"it is not certain that the set {run.manifest.set} is the newest state of this server:"
                " another machine has restored it, or the repository cannot be written. Synapse was not let"
                " in. Go back with `synapse-bundle upgrade-database --undo`."
            )
    open_database(run)
    run.tell("every table is equal; Synapse can use the new database")


def _check_and_take_over(run: Restoration) -> bool:
    # Nothing is lost if it is damaged: the older data is as it was.
    checks.check_repository(run.settings)
    return take_over(run)
