"""A dump becomes a database again, owned by Synapse's role, and is compared with what was dumped."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from psycopg import sql

from ..backup.database_dump import prepare_client, read_sequences
from ..backup.manifest import ONE_TIME_KEYS
from ..backup.restic import NICE
from ..backup.table_hashes import hash_tables, list_differences
from ..database.catalog import read_role
from ..database.connection import SUPERUSER, connect
from ..database.convergence import ensure_database
from ..database.fence import end_sessions, forbid_login
from ..errors import HelperError
from .dump_stream import stream_dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import psycopg

    from ..backup.manifest import SetManifest
    from ..backup.progress import Report
    from ..backup.repository import Repository
    from ..settings.backup_settings import BackupSettings
    from ..settings.database_settings import DatabaseSettings

_LOOK_SECONDS: Final = 0.05


def shut_out(superuser: psycopg.Connection, database: DatabaseSettings) -> None:
    """Let Synapse's role, if there is one, not log in, and end its sessions."""
    if read_role(superuser, database.database_role) is not None:
        forbid_login(superuser, database.database_role)
        end_sessions(superuser, database.database_role)


def create_empty(superuser: psycopg.Connection, database: DatabaseSettings) -> None:
    """Make an empty database of Synapse's role; both may exist, and a new role cannot log in."""
    role = database.database_role
    if read_role(superuser, role) is None:
        superuser.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    drop_database(superuser, database)
    ensure_database(superuser, database)


def drop_database(superuser: psycopg.Connection, database: DatabaseSettings) -> None:
    """Delete a database, if there is one, and end whatever uses it."""
    superuser.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
            sql.Identifier(database.database_name)
        )
    )


def load_dump(
    settings: BackupSettings,
    repository: Repository,
    manifest: SetManifest,
    report: Report,
    when_read: Callable[[], object] = lambda: None,
) -> None:
    """Load the dump; HelperError if it cannot be, and then only a part of it is there.

    `when_read` is called when all of it has been read, and PostgreSQL makes the indexes.
    """
    with _run_pg_restore(settings) as running:
        is_read = False
        # Its own reason for ending early follows.
        with running.archive, contextlib.suppress(BrokenPipeError):
            stream_dump(repository, manifest, running.archive.fileno(), report)
            is_read = True
        when_read()
        if running.process.wait() or not is_read:
            raise HelperError(
                f"the dump of the set {manifest.set} cannot be loaded: {running.read_reason()}. See"
                " `docker compose logs postgres`, then run this again."
            )


def load_and_prove(
    settings: BackupSettings,
    repository: Repository,
    manifest: SetManifest,
    report: Report,
    when_read: Callable[[], object] = lambda: None,
) -> list[str]:
    """Load the dump, and compare its tables while PostgreSQL makes their indexes.

    Returns one line for each table or sequence that is not as the set says; HelperError as `load_dump` has it.
    """
    load: Future[None] = Future()
    with connect_to_data(settings.database) as connection, ThreadPoolExecutor(1) as pool:
        comparison: list[Future[list[str]]] = []

        def begin() -> None:
            when_read()
            comparison.append(pool.submit(_compare_early, connection, manifest, load))

        try:
            load_dump(settings, repository, manifest, report, begin)
        except BaseException as error:
            load.set_exception(error)
            connection.cancel()
            raise
        load.set_result(None)
        differences = [line for each in comparison for line in each.result()]
        return differences + _compare_sequences(connection, manifest)


def _compare_early(
    connection: psycopg.Connection, manifest: SetManifest, load: Future[None]
) -> list[str]:
    # A dump has its indexes after all rows: when there is one, no row is missing any more.
    while not load.done() and not _has_index(connection):
        wait([load], _LOOK_SECONDS)
    if load.done():
        # What could not be loaded need not be compared.
        load.result()
    return compare_tables(connection, manifest)


def _has_index(connection: psycopg.Connection) -> bool:
    row = connection.execute(
        "SELECT FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace LIMIT 1"
    ).fetchone()
    return row is not None


def compare_tables(connection: psycopg.Connection, manifest: SetManifest) -> list[str]:
    """Return one line for each table that is not as the set says."""
    skip = set() if manifest.one_time_keys else {ONE_TIME_KEYS}
    expected = {name: table for name, table in manifest.tables.items() if name not in skip}
    found = hash_tables(connection, skip, as_text=manifest.hashes_text)
    return list_differences(expected, found)


def _compare_sequences(connection: psycopg.Connection, manifest: SetManifest) -> list[str]:
    # The dump reads sequences a moment later than the tables.
    sequences = read_sequences(connection)
    return [
        f"the sequence {name} is missing or behind"
        for name, value in sorted(manifest.sequences.items())
        if sequences.get(name, -1) < value
    ]


def require_equal(differences: Sequence[str], outcome: str) -> None:
    """HelperError, with the `outcome` for the server, if a loaded database is not what was saved."""
    if differences:
        raise HelperError(
            "the restored database is not what was saved:\n  "
            + "\n  ".join(differences)
            + f"\n{outcome} Restore another set, which `docker compose run --rm backup list` shows."
        )


def gather_statistics(database: DatabaseSettings) -> None:
    """Let PostgreSQL look at its tables: without that its first plans are bad ones."""
    with connect_to_data(database) as connection:
        connection.execute("ANALYZE")


def connect_to_data(database: DatabaseSettings) -> psycopg.Connection:
    """Connect to Synapse's database as the superuser, whom no fence shuts out."""
    return connect(database, SUPERUSER, database.superuser_password, database.database_name)


class _Running(NamedTuple):
    """pg_restore, what it reads, and the file with its complaints."""

    process: subprocess.Popen[bytes]
    archive: IO[bytes]
    complaints: IO[str]

    def read_reason(self) -> str:
        """Return the first complaint."""
        self.complaints.seek(0)
        return (self.complaints.read().strip().splitlines() or ["it did not say why"])[0]


@contextlib.contextmanager
def _run_pg_restore(settings: BackupSettings) -> Iterator[_Running]:
    database = settings.database
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb") as archive,
        os.fdopen(writing, "wb", buffering=0) as kept_open,
        tempfile.TemporaryFile("w+", dir=settings.runtime_directory) as complaints,
    ):
        process = subprocess.Popen(
            [
                *(*NICE, "pg_restore", "--no-owner", "--no-privileges"),
                *("--exit-on-error", f"--role={database.database_role}", "--no-password"),
                *(f"--host={database.database_host}", f"--port={database.database_port}"),
                *(f"--username={SUPERUSER}", f"--dbname={database.database_name}"),
            ],
            stdin=archive,
            stderr=complaints,
            # Nothing else reads this database before a commit that waits, which flushes all before it.
            env=prepare_client(settings) | {"PGOPTIONS": "-c synchronous_commit=off"},
        )
        archive.close()
        try:
            yield _Running(process, kept_open, complaints)
        finally:
            process.kill()
            process.wait()
