"""Another server as an import finds it: a folder with homeserver.yaml, key, files and database."""

from __future__ import annotations

import json
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from signedjson.key import generate_signing_key, write_signing_keys

from bundle_helper.foreign.inspection import Inspection, inspect
from bundle_helper.settings.import_settings import ImportSettings
from tests.helper.conftest import PostgresServer
from tests.helper.machines import name_environment, write_secrets
from tests.support.engine import try_docker
from tests.support.waiting import wait_for

NAME = "example.org"
# The tables that an import looks at, as Synapse has them in SQLite.
SCHEMA = """
CREATE TABLE schema_version (version INTEGER NOT NULL);
CREATE TABLE background_updates (update_name TEXT, progress_json TEXT, depends_on TEXT);
CREATE TABLE users (name TEXT, password_hash TEXT);
CREATE TABLE devices (user_id TEXT, device_id TEXT);
CREATE TABLE rooms (room_id TEXT);
CREATE TABLE events (stream_ordering INTEGER PRIMARY KEY, event_id TEXT, sender TEXT);
CREATE TABLE event_json (event_id TEXT, json TEXT);
CREATE TABLE server_signature_keys (server_name TEXT, key_id TEXT, verify_key BLOB);
"""


def write_key(path: Path, version: str) -> str:
    """Write a signing key as Synapse does and return its line."""
    with path.open("w") as file:
        write_signing_keys(file, [generate_signing_key(version)])
    return path.read_text().strip()


def connect(server: PostgresServer, database: str = "postgres") -> psycopg.Connection:
    """Connect as the superuser, once the server answers: it has just been started."""
    probe = ("exec", server.container, "pg_isready", "--quiet", "--host=127.0.0.1")
    wait_for(lambda: not try_docker(*probe).returncode, "PostgreSQL answers")
    return psycopg.connect(
        host=server.host,
        port=server.port,
        user="postgres",
        password=server.password,
        dbname=database,
        autocommit=True,
    )


@dataclass(kw_only=True)
class OtherServer:
    """The folder of another Synapse, as its image leaves it in the volume /data."""

    folder: Path
    environ: dict[str, str]
    document: dict[str, Any] = field(default_factory=dict)
    key: str = ""

    def build(self) -> None:
        """Write everything that a sound server has."""
        self.document = {
            "server_name": NAME,
            "database": {"name": "sqlite3", "args": {"database": "/data/homeserver.db"}},
            "media_store_path": "/data/media_store",
            "signing_key_path": f"/data/{NAME}.signing.key",
            "registration_shared_secret": "a shared secret",
            "macaroon_secret_key": "a macaroon secret",
            "form_secret": "a form secret",
        }
        self.configure()
        self.key = write_key(self.folder / f"{NAME}.signing.key", "a_own")
        content = self.folder / "media_store" / "local_content" / "aa"
        content.mkdir(parents=True)
        (content / "file").write_bytes(b"a file")
        self.execute(SCHEMA)
        self.execute(
            "INSERT INTO schema_version VALUES (94);"
            "INSERT INTO users VALUES ('@a:example.org', 'x'), ('@b:example.org', 'x');"
            "INSERT INTO devices VALUES ('@a:example.org', 'D');"
            "INSERT INTO rooms VALUES ('!r:example.org');"
        )
        self.add_event(NAME, "a_own")

    def configure(self, **changes: Any) -> None:
        """Write homeserver.yaml, with some keys changed; None deletes one."""
        document = {**self.document, **changes}
        kept = {key: value for key, value in document.items() if value is not None}
        (self.folder / "homeserver.yaml").write_text(yaml.safe_dump(kept))

    def execute(self, script: str) -> None:
        """Change the database."""
        connection = sqlite3.connect(self.folder / "homeserver.db")
        connection.executescript(script)
        connection.close()

    def add_event(self, server: str, version: str) -> None:
        """Add an event that a server sent and signed."""
        signed = json.dumps({"signatures": {server: {f"ed25519:{version}": "signature"}}})
        connection = sqlite3.connect(self.folder / "homeserver.db")
        with connection:
            number = connection.execute("SELECT count(*) FROM events").fetchone()[0]
            event = f"${number}"
            connection.execute(
                "INSERT INTO events VALUES (?, ?, ?)", (number, event, f"@a:{server}")
            )
            connection.execute("INSERT INTO event_json VALUES (?, ?)", (event, signed))
        connection.close()

    def inspect(self, dump: Path | None = None) -> Inspection:
        """Look at it as `import inspect` does."""
        environ = {**self.environ, "IMPORT_DUMP": str(dump or "none")}
        return inspect(ImportSettings.from_environ(environ))

    def describe(self) -> dict[str, tuple[int, int, bytes]]:
        """Return everything that nothing may change."""
        return {
            str(path): (path.stat().st_mtime_ns, path.stat().st_mode, path.read_bytes())
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


@pytest.fixture
def other(tmp_path: Path) -> OtherServer:
    """Return a sound server with an SQLite database, which has never been used much."""
    secrets, folder = tmp_path / "secrets", tmp_path / "other"
    for directory in (secrets, folder):
        directory.mkdir()
    (secrets / "postgres_password").write_text("no such server\n")
    environ = {
        name: value.replace("/bundle/secrets", str(secrets))
        for name, value in name_environment("synapse").items()
    }
    server = OtherServer(
        folder=folder,
        environ={
            **environ,
            "VERIFY_KEY": write_secrets(secrets),
            "DATABASE_HOST": "127.0.0.1",
            "IMPORT_SOURCE": str(folder),
            "IMPORT_COPY": str(tmp_path / "state" / "import" / "homeserver.db"),
            "MEDIA_OWNER": str(os.geteuid() or 991),
        },
    )
    server.build()
    return server
