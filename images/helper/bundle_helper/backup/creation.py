"""One set, from the lock to the manifest; what fails on the way leaves no set and deletes none."""

from __future__ import annotations

import os
import secrets
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg

from .. import storage
from ..database.overtaking import OvertakenError
from ..errors import HelperError
from .admission import admit
from .database_dump import Frozen, describe_failure, freeze, prepare_dump, read_sequences
from .manifest import COMPLETE_KINDS, FORMAT, MANIFEST_FILE, ONE_TIME_KEYS, Kind, SetManifest
from .ownership import TakenOverError, require_own, require_server, watch_server
from .progress import Progress, format_size
from .repository_errors import UnreadableSourceError
from .restic import ProducerError
from .sets import DUMP, DUMP_FILE, SET, keep_copy, name_tag, revoke
from .sources import explain_unreadable, find_unreadable, list_excludes, list_sources
from .table_hashes import TableHash, hash_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..database.instance import InstanceRecord
    from ..settings.backup_settings import BackupSettings
    from .repository import Repository, Saved

_CANCEL_SECONDS: Final = 0.2
# A new server changes its tables for a minute, one after the other.
_ATTEMPTS: Final = 10
# What a change of tables does to a transaction that has not locked them all.
_CHANGES: Final = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.UndefinedTable,
)
# The same in the words of pg_dump, whose patience PostgreSQL counts as a statement's.
_CHANGES_TOLD: Final = ("canceling statement due to statement timeout", "deadlock detected")


class _TablesChangeError(HelperError):
    """A table that is being changed was in the way of pg_dump."""


def make_set(
    settings: BackupSettings, repository: Repository, kind: Kind, progress: Progress
) -> SetManifest:
    """Make a set in a repository that is open, and return its manifest.

    HelperError if there is no set afterwards: another backup runs, another machine has taken over or a
    copy has claimed the name, also meanwhile, a file cannot be read, the database or the repository failed.
    """
    with admit(settings, kind, progress) as record:
        require_own(repository, record, repository.recall_snapshots())
        unreadable = find_unreadable(settings)
        if unreadable is not None:
            raise HelperError(explain_unreadable(settings, [unreadable]))
        manifest = _store_database_patiently(repository, record, kind, progress)
        try:
            _store_files(repository, manifest, record, progress)
            require_server(settings, record)
            outcome = f"The set {manifest.set} does not count"
            require_own(repository, record, repository.snapshots(), outcome)
        except (OvertakenError, TakenOverError):
            # Until restic is ended it may have completed the set.
            revoke(repository, manifest.set)
            raise
    progress(f"the set {manifest.set} is complete")
    return manifest


def _store_database_patiently(
    repository: Repository, record: InstanceRecord, kind: Kind, progress: Progress
) -> SetManifest:
    """Store the database; begin again where Synapse has changed a table meanwhile."""
    try:
        for _ in range(_ATTEMPTS - 1):
            try:
                return _store_database(repository, record, kind, progress)
            except (_TablesChangeError, *_CHANGES):
                progress("Synapse is changing its tables; trying again")
        return _store_database(repository, record, kind, progress)
    except psycopg.Error as error:
        raise describe_failure(error) from error


def _store_database(
    repository: Repository, record: InstanceRecord, kind: Kind, progress: Progress
) -> SetManifest:
    settings, complete = repository.settings, kind in COMPLETE_KINDS
    with freeze(settings) as frozen:
        moment = datetime.now(UTC)
        name = f"{moment:%Y%m%d-%H%M}-{secrets.token_hex(2)}"
        dump = prepare_dump(settings, frozen, one_time_keys=complete)
        # No snapshot holds them: the dump has what they are when it comes to them, which is not less.
        sequences = read_sequences(frozen.connection)
        report = watch_server(settings, record, progress.follow("database"))
        tags = (DUMP, name_tag(name), kind)
        with _hash_meanwhile(frozen, () if complete else (ONE_TIME_KEYS,)) as hashes:
            try:
                saved = repository.backup_stream(dump, DUMP_FILE, tags, report)
            except ProducerError as error:
                raise _explain_dump(error, hashes) from error
            tables = hashes.result()
    progress(f"database: {format_size(saved.size)}, {format_size(saved.added)} of it new")
    return SetManifest(
        format=FORMAT,
        product=settings.product_version,
        set=name,
        kind=kind,
        time=moment,
        server_name=settings.server_name,
        verify_key=settings.verify_key,
        instance=record.id,
        epoch=record.epoch,
        images=settings.images,
        postgres_version=frozen.server_version,
        schema_version=frozen.schema_version,
        compat_version=frozen.compat_version,
        dump_snapshot=saved.snapshot,
        dump_bytes=saved.size,
        one_time_keys=complete,
        tables=tables,
        sequences=sequences,
        remote_media=settings.remote_media,
    )


@contextmanager
def _hash_meanwhile(
    frozen: Frozen, skip: tuple[str, ...]
) -> Iterator[Future[dict[str, TableHash]]]:
    """Hash the tables on the connection that holds the snapshot, while the same snapshot is dumped."""
    with ThreadPoolExecutor(1) as pool:
        hashes = pool.submit(hash_tables, frozen.connection, skip)
        try:
            yield hashes
        finally:
            while not hashes.done():
                frozen.connection.cancel()
                wait([hashes], _CANCEL_SECONDS)


def _explain_dump(error: ProducerError, hashes: Future[dict[str, TableHash]]) -> BaseException:
    # A query that fails ends its transaction, and with it the snapshot that pg_dump needs.
    if hashes.done() and (failure := hashes.exception()):
        return failure
    is_change = any(words in error.message for words in _CHANGES_TOLD)
    kind = _TablesChangeError if is_change else HelperError
    return kind(
        f"the database was not dumped to its end, so no set was made: pg_dump: {error.message}."
        " See `docker compose logs postgres`, then repeat."
    )


def _store_files(
    repository: Repository, manifest: SetManifest, record: InstanceRecord, progress: Progress
) -> None:
    """Store folder and media with the manifest: from then on the set exists."""
    settings = repository.settings
    file = settings.runtime_directory / MANIFEST_FILE
    storage.replace(file, manifest.to_json().encode(), 0o600)
    try:
        saved = repository.backup_files(
            (*list_sources(settings), file),
            (SET, name_tag(manifest.set), manifest.kind),
            list_excludes(settings),
            watch_server(settings, record, progress.follow("media and folder")),
        )
    except UnreadableSourceError as error:
        _judge_unreadable(repository, manifest, error)
    else:
        keep_copy(repository, saved.snapshot, manifest.to_json())
        _show_files(saved, progress)


def _show_files(saved: Saved, progress: Progress) -> None:
    progress(f"media and folder: {format_size(saved.size)}, {format_size(saved.added)} of it new")


def _judge_unreadable(
    repository: Repository, manifest: SetManifest, error: UnreadableSourceError
) -> None:
    """Revoke the set, unless all that restic missed was deleted while it read: then nothing is missing."""
    missed = [Path(path) for path in error.files if os.path.lexists(path)]
    if missed or not error.files:
        revoke(repository, manifest.set)
        raise HelperError(
            explain_unreadable(repository.settings, missed) if missed else error.message
        ) from error
