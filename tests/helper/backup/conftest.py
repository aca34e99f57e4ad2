"""A server to back up: Synapse's tables in a real PostgreSQL, media, a folder, and a place for sets."""

from __future__ import annotations

import base64
import io
import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from bundle_helper.backup.progress import Progress
from bundle_helper.backup.repository import Repository
from bundle_helper.database.connection import connect_as_superuser
from bundle_helper.settings.backup_settings import BackupSettings
from tests.helper.backup import programs
from tests.helper.repositories import weaken_key
from tests.support.engine import docker
from tests.support.ports import find_port
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.helper.conftest import PostgresServer

INSTANCE = "0123456789abcdef" * 2
# As many rows as make restic write more than one pack of data.
SCHEMA = """
CREATE TABLE schema_version (version integer NOT NULL);
INSERT INTO schema_version VALUES (94);
CREATE TABLE schema_compat_version (compat_version integer NOT NULL);
INSERT INTO schema_compat_version VALUES (84);
CREATE TABLE events (stream_ordering bigint PRIMARY KEY, event_id text, content jsonb,
    received timestamptz, weight double precision, signature bytea);
INSERT INTO events SELECT n, '$' || md5(n::text), jsonb_build_object('body', md5(n::text)),
    to_timestamp(n), n / 3.0, decode(md5(n::text), 'hex') FROM generate_series(1, 2000) AS n;
CREATE TABLE "Odd Name" (value text);
CREATE TABLE e2e_one_time_keys_json (key_id text);
INSERT INTO e2e_one_time_keys_json VALUES ('signed_curve25519:AAAA');
CREATE SEQUENCE events_stream_seq;
SELECT setval('events_stream_seq', 2000);
CREATE SEQUENCE unused_seq;
"""


@pytest.fixture(scope="session")
def program_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack restic and PostgreSQL's programs."""
    directory = tmp_path_factory.mktemp("programs")
    programs.unpack(directory)
    return directory


@pytest.fixture
def on_path(program_directory: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the programs the first to be found."""
    monkeypatch.setenv("PATH", f"{program_directory}:{os.environ['PATH']}")
    return program_directory


@pytest.fixture(autouse=True)
def _weak_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a new repository in a folder open at once."""
    make = Repository.init

    def make_weak(repository: Repository) -> str:
        made = make(repository)
        settings = repository.settings.repository
        if settings.is_folder:
            weaken_key(Path(settings.location), settings.password_file.read_text().strip())
        return made

    monkeypatch.setattr(Repository, "init", make_weak)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One server to back up, with a database of its own on the shared PostgreSQL."""

    environ: dict[str, str]
    root: Path
    said: io.StringIO

    @property
    def settings(self) -> BackupSettings:
        """The settings as the service reads them now."""
        return BackupSettings.from_environ(self.environ)

    @property
    def repository(self) -> Repository:
        """The repository, made or not."""
        return Repository(self.settings)

    @property
    def progress(self) -> Progress:
        """What a person would see."""
        return Progress(self.said)

    def connect(self, database: str | None = None) -> psycopg.Connection:
        """Connect as the superuser."""
        settings = self.settings.database
        return psycopg.connect(
            host=settings.database_host,
            port=settings.database_port,
            dbname=database or settings.database_name,
            user="postgres",
            password=settings.superuser_password.reveal(),
            autocommit=True,
        )


@pytest.fixture
def folder_environ(tmp_path: Path) -> dict[str, str]:
    """Return the environment of the service for a folder with media, where no database answers."""
    for name in ("bundle/secrets", "media/media_store", "state", "run", "report", "repository"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("postgres_password", "synapse_database_password", "backup_password"):
        (tmp_path / "bundle" / "secrets" / name).write_text(f"{secrets.token_hex(16)}\n")
    (tmp_path / "bundle" / "compose.yaml").write_text("services: {}\n")
    for kind in ("local_content", "remote_content", "url_cache"):
        file = tmp_path / "media" / "media_store" / kind / "aa" / "file"
        file.parent.mkdir(parents=True)
        file.write_bytes(secrets.token_bytes(4000))
    inside = tmp_path / "bundle" / "secrets"
    return {
        "SERVER_NAME": "example.org",
        "VERIFY_KEY": "ed25519:a_TEST " + base64.b64encode(bytes(32)).decode().rstrip("="),
        "PRODUCT_VERSION": "1.2.3",
        "IMAGES": "postgres=postgres:17 synapse=synapse:v1",
        "DATABASE_HOST": "127.0.0.1",
        "DATABASE_PORT": "1",
        "DATABASE_NAME": "synapse",
        "DATABASE_ROLE": "synapse",
        "DATABASE_PATIENCE": "60",
        "SUPERUSER_PASSWORD_FILE": str(inside / "postgres_password"),
        "ROLE_PASSWORD_FILE": str(inside / "synapse_database_password"),
        "INSTANCE_FILE": str(inside / "instance"),
        "CLAIM_DIRECTORY": "none",
        "BUNDLE_DIRECTORY": str(tmp_path / "bundle"),
        "MEDIA_DIRECTORY": str(tmp_path / "media"),
        "MEDIA_OWNER": "991",
        "STATE_DIRECTORY": str(tmp_path / "state"),
        "RUNTIME_DIRECTORY": str(tmp_path / "run"),
        "REPORT_DIRECTORY": str(tmp_path / "report"),
        "BACKUP_REPOSITORY": str(tmp_path / "repository"),
        "BACKUP_REPOSITORY_NAME": "./backups",
        "BACKUP_PASSWORD_FILE": str(inside / "backup_password"),
        "BACKUP_CREDENTIALS_FILE": "none",
        "BACKUP_SSH_KEY_FILE": "none",
        "BACKUP_KNOWN_HOSTS_FILE": "none",
        "BACKUP_AT": "03:30",
        "BACKUP_KEEP": "daily=7 weekly=5 monthly=12",
        "BACKUP_APPEND_ONLY": "no",
        "BACKUP_REMOTE_MEDIA": "no",
        "BACKUP_VERIFY": "30",
        "BACKUP_DRILL": "weekly",
        "BACKUP_EXCLUDE": "none",
    }


@pytest.fixture
def folder(folder_environ: dict[str, str], on_path: Path, tmp_path: Path) -> Place:
    """Return a folder with media, where no database answers."""
    return Place(environ=folder_environ, root=tmp_path, said=io.StringIO())


def lay_out(folder: Place, server: PostgresServer) -> None:
    """Make a database of Synapse's shape on a server, with a record of its instance."""
    name = f"backup_{secrets.token_hex(6)}"
    folder.environ.update(
        DATABASE_HOST=server.host,
        DATABASE_PORT=str(server.port),
        DATABASE_NAME=name,
    )
    (folder.root / "bundle" / "secrets" / "postgres_password").write_text(f"{server.password}\n")
    with connect_as_superuser(folder.settings.database) as superuser:
        superuser.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C'")
        superuser.execute(
            "CREATE TABLE IF NOT EXISTS synapse_bundle_instance"
            " (database text PRIMARY KEY, id text NOT NULL)"
        )
        superuser.execute("INSERT INTO synapse_bundle_instance VALUES (%s, %s)", (name, INSTANCE))
    with folder.connect() as database:
        database.execute(SCHEMA)


@pytest.fixture
def place(folder: Place, postgres_address: PostgresServer) -> Iterator[Place]:
    """Return a server whose database has Synapse's shape, with a record of its instance."""
    lay_out(folder, postgres_address)
    yield folder
    name = folder.settings.database.database_name
    with folder.connect("postgres") as superuser:
        superuser.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        superuser.execute("DELETE FROM synapse_bundle_instance WHERE database = %s", (name,))


@pytest.fixture
def ssh_server(folder: Place) -> Iterator[str]:
    """Run an sshd that takes one key, and point the settings at it."""
    programs.build_image()
    for name in ("host_key", "user_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder.root / name)],
            check=True,
        )
    port = find_port()
    container = docker(
        *("run", "--detach", "--publish", f"127.0.0.1:{port}:22"),
        *("--volume", f"{folder.root}:/keys:ro", "--entrypoint", "sh", programs.TAG, "-c"),
        "mkdir -p /run/sshd /root/.ssh && cp /keys/host_key /etc/ssh/key && chmod 600 /etc/ssh/key"
        " && cp /keys/user_key.pub /root/.ssh/authorized_keys && exec /usr/sbin/sshd -D -e"
        " -h /etc/ssh/key -o PermitRootLogin=prohibit-password -o StrictModes=no",
    ).strip()
    hosts = folder.root / "known_hosts"
    kind, key = (folder.root / "host_key.pub").read_text().split()[:2]
    hosts.write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    (folder.root / "user_key").chmod(0o644)
    folder.environ.update(
        BACKUP_REPOSITORY=f"sftp://root@127.0.0.1:{port}//srv/sets",
        BACKUP_SSH_KEY_FILE=str(folder.root / "user_key"),
        BACKUP_KNOWN_HOSTS_FILE=str(hosts),
    )
    try:
        wait_for(lambda: "Server listening" in _read_log(container), "sshd listens")
        yield container
    finally:
        docker("rm", "--force", "--volumes", container)


def _read_log(container: str) -> str:
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True)
    return done.stdout + done.stderr
