"""A PostgreSQL of a test's own, which it may kill, and whose files it may break."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import psycopg

from tests.helper.conftest import PostgresServer
from tests.support.engine import docker
from tests.support.ports import find_port
from tests.support.waiting import wait_for

_IMAGE: Final = "postgres:17-trixie"


@dataclass(frozen=True, kw_only=True)
class OwnServer(PostgresServer):
    """As the bundle starts it, with checksums."""

    def kill(self) -> None:
        """End every process of it at once."""
        docker("kill", self.container)

    def start(self) -> None:
        """Start it again at the same port, and wait until it answers."""
        docker("start", self.container)
        self.wait()

    def wait(self) -> None:
        """Wait until it answers."""
        wait_for(self._answers, "PostgreSQL answers")

    def _answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            psycopg.connect(
                host=self.host, port=self.port, user="postgres", password=self.password
            ).close()
            return True
        return False

    def damage(self, file: str, offset: int) -> None:
        """Write something else into a file of its data, by the path that PostgreSQL names, while it is down."""
        write = f'printf BROKEN | dd of="$PGDATA/{file}" bs=1 seek={offset} conv=notrunc'
        docker(
            *("run", "--rm", f"--volumes-from={self.container}", "--user=postgres"),
            *("--entrypoint=sh", _IMAGE, "-c", write),
        )


@contextmanager
def run_own_server() -> Iterator[OwnServer]:
    """Run one; nothing of it stays."""
    password, port = secrets.token_hex(16), find_port()
    container = docker(
        *("run", "--detach", f"--publish=127.0.0.1:{port}:5432"),
        *("--env", f"POSTGRES_PASSWORD={password}"),
        "--env=POSTGRES_INITDB_ARGS=--encoding=UTF8 --locale=C --data-checksums"
        " --auth-local=scram-sha-256 --auth-host=scram-sha-256",
        *(_IMAGE, "-c", "fsync=off"),
    ).strip()
    try:
        server = OwnServer(container=container, host="127.0.0.1", port=port, password=password)
        server.wait()
        yield server
    finally:
        docker("rm", "--force", "--volumes", container)
