"""A role and a database of its own on the shared PostgreSQL, and the bootstrap as its container runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bundle_helper.settings.bootstrap_settings import BootstrapSettings
from tests.helper.conftest import PostgresServer

REPOSITORY = Path(__file__).parents[3]
MAIN = "from bundle_helper.cli import main; main()"
# Kills the process right after the n-th statement of the superuser.
KILLED = """
import os, signal, sys
import psycopg
execute, statements, last = psycopg.Connection.execute, 0, int(sys.argv.pop(1))
def counted(*arguments, **options):
    global statements
    answer = execute(*arguments, **options)
    statements += 1
    if statements == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
psycopg.Connection.execute = counted
"""


@dataclass(frozen=True, kw_only=True)
class Place:
    """One pair of role and database of its own, on the shared server."""

    server: PostgresServer
    environ: dict[str, str]

    @property
    def settings(self) -> BootstrapSettings:
        """The settings as the bootstrap reads them now."""
        return BootstrapSettings.from_environ(self.environ)

    @property
    def name(self) -> str:
        """The name of the role and of the database."""
        return self.environ["DATABASE_NAME"]

    def start(
        self,
        *,
        code: str = MAIN,
        arguments: tuple[str, ...] = (),
        command: tuple[str, ...] = ("bootstrap",),
    ) -> subprocess.Popen[str]:
        """Start the bootstrap as the container does."""
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments, *command],
            env={**self.environ, "PYTHONPATH": str(REPOSITORY / "images" / "helper")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *command: str) -> tuple[int, str]:
        """Run the bootstrap to its end and return its exit code and its words."""
        with self.start(command=command or ("bootstrap",)) as process:
            said, _ = process.communicate(timeout=60)
        for variable in ("SUPERUSER_PASSWORD_FILE", "ROLE_PASSWORD_FILE"):
            assert Path(self.environ[variable]).read_text().strip() not in said
        assert "Traceback" not in said
        return process.returncode, said

    @property
    def instance(self) -> Path:
        """The file by which the folder knows its data."""
        return Path(self.environ["INSTANCE_FILE"])

    def drop(self) -> None:
        """Let everything vanish that the volumes held."""
        with self.superuser() as superuser:
            superuser.execute(f'DROP DATABASE IF EXISTS "{self.name}" WITH (FORCE)')
            superuser.execute(f'DROP ROLE IF EXISTS "{self.name}"')
            self.forget(superuser)

    def forget(self, superuser: psycopg.Connection) -> None:
        """Let the data lose its id, as it was before there were ids."""
        superuser.execute("DELETE FROM synapse_bundle_instance WHERE database = %s", (self.name,))

    def fill(self) -> None:
        """Give the database a table, as Synapse does when it starts."""
        with self.superuser(self.name) as superuser:
            superuser.execute("CREATE TABLE events (id bigint)")

    def report(self) -> dict[str, object]:
        """Return what the bootstrap reported."""
        content: dict[str, object] = json.loads(Path(self.environ["REPORT_FILE"]).read_text())
        return content

    def superuser(self, dbname: str = "postgres") -> psycopg.Connection:
        """Connect as the superuser, past the bootstrap."""
        return psycopg.connect(
            host=self.server.host,
            port=self.server.port,
            user="postgres",
            password=self.server.password,
            dbname=dbname,
            autocommit=True,
        )

    def log_in(self, password: str) -> None:
        """Log in as the role; psycopg.OperationalError if that is refused."""
        psycopg.connect(
            host=self.server.host,
            port=self.server.port,
            user=self.name,
            password=password,
            dbname=self.name,
        ).close()
