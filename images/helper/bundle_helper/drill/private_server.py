"""A PostgreSQL of its own for a drill: it listens on a socket alone, and leaves nothing behind.

PostgreSQL refuses to run as root, and initdb wants its user to have a name. So root runs it as the
image's user `postgres`; another user is given a name, as in the entrypoint of the official image.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import psycopg

from ..backup.identity import name_user
from ..backup.restic import NICE
from ..database.connection import SUPERUSER, connect, first_line
from ..errors import HelperError
from ..settings.environment import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..settings.backup_settings import BackupSettings
    from ..settings.database_settings import DatabaseSettings

_PATIENCE_SECONDS: Final = 120
_PAUSE_SECONDS: Final = 0.05
# Nothing here has to survive a crash, and the server beside it needs the memory.
_OPTIONS: Final = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "10",
    "max_parallel_workers": "0",
    "dynamic_shared_memory_type": "mmap",
}


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the server lives, and as whom it runs."""

    directory: Path
    runtime: Path
    identity: dict[str, Any]

    @property
    def data(self) -> Path:
        return self.directory / "data"

    def run(self, *command: str, **environment: str) -> tuple[int, str]:
        """Run a program as that user; return its exit code and its words."""
        done = subprocess.run(
            [*NICE, *command],
            env={"PATH": os.environ["PATH"], **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **self.identity,
        )
        return done.returncode, done.stdout.strip()

    def remove(self) -> None:
        """End the server, however it was left, and delete everything."""
        if not self.directory.exists():
            return
        self.run("pg_ctl", "stop", "--pgdata", str(self.data), "--mode=immediate", "--silent")
        # Root without its privileges may not enter what belongs to `postgres`.
        self.run("find", str(self.directory), "-mindepth", "1", "-delete")
        self.directory.rmdir()


@contextlib.contextmanager
def run_private_server(settings: BackupSettings) -> Iterator[DatabaseSettings]:
    """Run an empty PostgreSQL and return how it is reached; HelperError if it does not start."""
    place = _choose_place(settings)
    place.remove()
    try:
        _initialize(place)
        with tempfile.TemporaryFile("w+", dir=place.runtime) as log:
            process = _start(place, log)
            database = replace(
                settings.database,
                database_host=str(place.directory),
                superuser_password=Secret("trust"),
                role_password=Secret("trust"),
            )
            _wait(database, process, log)
            yield database
    finally:
        place.remove()


def _choose_place(settings: BackupSettings) -> _Place:
    if os.geteuid() != 0:
        return _Place(
            directory=settings.state_directory / "drill",
            runtime=settings.runtime_directory,
            identity={},
        )
    user = pwd.getpwnam(SUPERUSER)
    return _Place(
        # Beside the directory of root, which no other user may enter.
        directory=settings.state_directory.parent / "drill",
        runtime=settings.runtime_directory,
        identity={"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []},
    )


def _initialize(place: _Place) -> None:
    place.directory.mkdir(mode=0o711)
    if place.identity:
        os.chown(place.directory, place.identity["user"], place.identity["group"])
    code, said = place.run(
        *("initdb", "--pgdata", str(place.data), f"--username={SUPERUSER}", "--auth=trust"),
        *("--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
        **name_user(place.directory),
    )
    if code:
        raise HelperError(
            f"a PostgreSQL for the drill cannot be made: {(said.splitlines() or ['?'])[-1]}"
        )


def _start(place: _Place, log: IO[str]) -> subprocess.Popen[bytes]:
    options = _OPTIONS | {"unix_socket_directories": str(place.directory)}
    chosen = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    return subprocess.Popen(
        [*NICE, "postgres", "-D", str(place.data), *chosen],
        env={"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        **place.identity,
    )


def _wait(database: DatabaseSettings, process: subprocess.Popen[bytes], log: IO[str]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            connect(database, SUPERUSER, database.superuser_password, SUPERUSER).close()
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                log.seek(0)
                said = (log.read().strip().splitlines() or [first_line(error)])[-1]
                raise HelperError(f"the PostgreSQL for the drill does not start: {said}") from error
            time.sleep(_PAUSE_SECONDS)
        else:
            return
