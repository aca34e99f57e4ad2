"""Machines for backup and restore: folder, volumes and database of a server, and its `backup` container."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg
from signedjson.key import (
    encode_verify_key_base64,
    generate_signing_key,
    get_verify_key,
    write_signing_keys,
)

from tests.helper.conftest import PostgresServer
from tests.support.engine import docker

REPOSITORY: Final = Path(__file__).parents[2]
_HELPER: Final = REPOSITORY / "images" / "helper"
_TAG: Final = "synapse-bundle-test/backup"
_BUILD_TAG: Final = "synapse-bundle-test/helper-build"
# As the stage `backup` of the helper's image, with the source mounted instead of installed.
_DOCKERFILE: Final = f"""
ARG MAJOR
FROM postgres:${{MAJOR}}-trixie
RUN apt-get update && apt-get install --yes --no-install-recommends libnss-wrapper python3 restic
COPY --from={_BUILD_TAG} /opt/helper /opt/helper
# Tests of other parts run beside this one, and would leave it no time.
RUN printf '#!/bin/sh\\nshift 2\\nexec "$@"\\n' >/usr/local/sbin/nice && chmod 0755 /usr/local/sbin/nice
ENV PATH=/opt/helper/bin:/usr/lib/postgresql/${{PG_MAJOR}}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/source
"""
# What `setsid` makes of a process that was killed.
KILL_CODE: Final = 9
_MAIN: Final = "from bundle_helper.cli import main; main()"
# Kills the process and everything it has started, as the end of a container does, after the n-th time
# that a program was started, a program ended, or a statement changed something; counted from the first
# statement that changed the record beside the database, or from the start.
KILLED: Final = """
import os, signal, subprocess, sys
import psycopg
last, events, counting = int(sys.argv.pop(1)), 0, sys.argv.pop(1) == "start"
def count(text=""):
    global events, counting
    counting = counting or "INSERT INTO public.synapse_bundle_instance" in text
    events += counting
    if events == last:
        os.killpg(0, signal.SIGKILL)
class Counted(subprocess.Popen):
    def __init__(self, *arguments, **options):
        self.counted = False
        super().__init__(*arguments, **options)
        count()
    def wait(self, timeout=None):
        code = super().wait(timeout)
        if not self.counted:
            self.counted = True
            count()
        return code
subprocess.Popen = Counted
execute = psycopg.Connection.execute
def counted(self, query, *arguments, **options):
    answer = execute(self, query, *arguments, **options)
    text = query if isinstance(query, str) else query.as_string(self)
    if not text.startswith(("SELECT", "SHOW", "SET ")):
        count(text)
    return answer
psycopg.Connection.execute = counted
"""
# A few of Synapse's tables, with what a restore and a drill look at.
_SCHEMA: Final = """
CREATE TABLE schema_version (version integer NOT NULL);
CREATE TABLE schema_compat_version (compat_version integer NOT NULL);
INSERT INTO schema_version VALUES (94);
INSERT INTO schema_compat_version VALUES (84);
CREATE SEQUENCE events_stream_seq;
CREATE SEQUENCE "odd Name's" START 5;
CREATE TABLE events (stream_ordering bigint PRIMARY KEY, event_id text NOT NULL, json text,
    received_ts bigint);
INSERT INTO events SELECT nextval('events_stream_seq'), '$' || n, repeat(md5(n::text), 8), n
    FROM generate_series(1, 500) AS n;
CREATE TABLE access_tokens (id bigint PRIMARY KEY, token text, used boolean, last real);
INSERT INTO access_tokens VALUES (1, 'syt_1', true, 0.1), (2, 'syt_2', NULL, 2.5);
CREATE TABLE e2e_one_time_keys_json (user_id text, device_id text, key_id text, key_json text);
INSERT INTO e2e_one_time_keys_json VALUES ('@a:example.org', 'D', 'K0', '{}');
CREATE TABLE e2e_fallback_keys_json (user_id text, device_id text, key_id text, used boolean);
INSERT INTO e2e_fallback_keys_json VALUES ('@a:example.org', 'D', 'F0', false);
CREATE TABLE server_signature_keys (server_name text, key_id text, verify_key bytea);
INSERT INTO server_signature_keys VALUES ('example.org', 'ed25519:a_TEST', '\\x00ff');
CREATE TABLE local_media_repository (media_id text PRIMARY KEY, media_length bigint,
    sha256 text, url_cache text);
"""


def name_image(major: int) -> str:
    """Return the image of the `backup` container for a major version of PostgreSQL."""
    return f"{_TAG}:{major}"


def build_image(major: int = 17) -> None:
    """Build the image of the `backup` container."""
    docker("build", "--quiet", "--target", "build", "--tag", _BUILD_TAG, str(_HELPER))
    argument = f"--build-arg=MAJOR={major}"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", name_image(major), argument, "-"],
        input=_DOCKERFILE,
        text=True,
        check=True,
        capture_output=True,
    )


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One machine: `directory` holds its folder and volumes, `database` is its database and role."""

    directory: Path
    repository: Path
    server: PostgresServer
    database: str
    major: int = 17
    environ: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    containers: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The bundle's folder."""
        return self.directory / "bundle"

    @property
    def media(self) -> Path:
        """The volume with Synapse's files."""
        return self.directory / "media"

    @property
    def state(self) -> Path:
        """The volume with caches and scratch."""
        return self.directory / "state"

    @property
    def instance(self) -> str:
        """The id in the folder."""
        return (self.folder / "secrets" / "instance").read_text().strip()

    def run(
        self,
        *command: str,
        kill: tuple[int, str] | None = None,
        code: str = "",
        environ: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        """Run a command of the helper's in the container; return its exit code and its words.

        `kill`: after how many events, counted from `record` or from `start`.
        """
        killed = [] if kill is None else [str(kill[0]), kill[1]]
        program = (KILLED if killed else "") + code + _MAIN
        container = self._container()
        settings = self.environ | (environ or {})
        done = subprocess.run(
            [
                *("docker", "exec"),
                *(f"--env={name}={value}" for name, value in settings.items()),
                *(container, "setsid", "--wait", "python3", "-c", program),
                *(*killed, *command),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        for path in (self.folder / "secrets").iterdir():
            if path.name != "instance" and path.stat().st_size:
                assert path.read_text().strip() not in done.stdout, path.name
        assert "Traceback" not in done.stdout, done.stdout
        return done.returncode, done.stdout

    def succeed(self, *command: str, code: str = "", environ: dict[str, str] | None = None) -> str:
        """Run a command that has to succeed and return its words."""
        ended, said = self.run(*command, code=code, environ=environ)
        assert ended == 0, said
        return said

    def execute(self, *command: str) -> str:
        """Run any program in the container and return what it printed."""
        return docker("exec", self._container(), *command)

    def _container(self) -> str:
        if not self.containers:
            address = docker(
                *("inspect", "--format", "{{.NetworkSettings.IPAddress}}", self.server.container)
            )
            self.environ["DATABASE_HOST"] = address.strip()
            mounts = {
                self.folder: "/bundle",
                self.media: "/media",
                self.state: "/state",
                self.directory / "report": "/report",
                self.repository: "/repository",
                _HELPER: "/source:ro",
            }
            started = docker(
                *("run", "--detach", "--rm", "--init", "--hostname=backup"),
                *("--tmpfs=/run/backup", "--user=0:0", *self.options),
                *(f"--volume={here}:{there}" for here, there in mounts.items()),
                *("--entrypoint=sleep", name_image(self.major), "infinity"),
            )
            self.containers.append(started.strip())
        return self.containers[0]

    def stop(self) -> None:
        """Remove container, database and role."""
        while self.containers:
            docker("rm", "--force", "--volumes", self.containers.pop())
        with self.superuser() as superuser:
            for name in (self.database, f"{self.database}_restoring"):
                superuser.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            superuser.execute(f'DROP ROLE IF EXISTS "{self.database}"')
            superuser.execute(
                "DELETE FROM synapse_bundle_instance WHERE database = %s", (self.database,)
            )

    def superuser(self, database: str = "postgres") -> psycopg.Connection:
        """Connect as the superuser."""
        return psycopg.connect(
            host=self.server.host,
            port=self.server.port,
            user="postgres",
            password=self.server.password,
            dbname=database,
            autocommit=True,
        )

    def ask(self, query: str) -> object:
        """Return the one value that a query in Synapse's database returns."""
        with self.superuser(self.database) as superuser:
            row = superuser.execute(query).fetchone()
        assert row is not None
        return row[0]

    def start_server(self) -> tuple[int, str]:
        """Run the bootstrap, without which Synapse does not start."""
        return self.run(
            "bootstrap",
            environ={"VOLUME_OWNERS": "/media=991", "REPORT_FILE": "/report/database.json"},
        )

    @property
    def can_start(self) -> bool:
        """Whether the bootstrap lets Synapse start."""
        return self.start_server()[0] == 0

    def fill(self) -> None:
        """Make Synapse's tables and a few files, as if the server had run."""
        with self.superuser(self.database) as superuser:
            superuser.execute(f'SET ROLE "{self.database}"')
            superuser.execute(_SCHEMA)
        for content in (b"a file of ours", b"another file of ours", os.urandom(5000)):
            self.upload(content)
        (self.media / "media_store" / "remote_content").mkdir()
        (self.media / "media_store" / "remote_content" / "theirs").write_bytes(b"fetched")

    def upload(self, content: bytes) -> Path:
        """Store a file as Synapse does and return its path."""
        name = secrets.token_hex(12)
        path = self.media / "media_store/local_content" / name[:2] / name[2:4] / name[4:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        for one in (path, *path.relative_to(self.media).parents):
            os.chown(self.media / one, 991, 991)
        with self.superuser(self.database) as superuser:
            superuser.execute(
                "INSERT INTO local_media_repository VALUES (%s, %s, %s)",
                (name, len(content), hashlib.sha256(content).hexdigest()),
            )
        return path

    def describe(self) -> str:
        """Return everything that a refused command must not change, as text to compare."""
        with self.superuser() as superuser:
            kept: dict[str, object] = {
                "record": superuser.execute(
                    "SELECT to_jsonb(i) FROM synapse_bundle_instance i WHERE database = %s",
                    (self.database,),
                ).fetchall(),
                "role": superuser.execute(
                    "SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = %s",
                    (self.database,),
                ).fetchall(),
                "database": superuser.execute(
                    "SELECT oid FROM pg_database WHERE starts_with(datname, %s)", (self.database,)
                ).fetchall(),
            }
        if kept["database"]:
            kept["tables"] = self.hash_tables()
        for directory in (self.folder, self.media, self.repository):
            kept[str(directory)] = describe_files(directory)
        return json.dumps(kept, indent=1, default=str)

    def hash_tables(self) -> dict[str, str]:
        """Return the content of every table, hashed."""
        with self.superuser(self.database) as superuser:
            names = superuser.execute(
                "SELECT relname, relkind FROM pg_class WHERE relkind IN ('r', 'S')"
                " AND relnamespace = 'public'::regnamespace"
            ).fetchall()
            found: dict[str, str] = {}
            for name, kind in names:
                # What else is in a sequence is how many values are logged ahead.
                columns = "*" if kind == "r" else "last_value"
                rows = superuser.execute(f'SELECT {columns} FROM "{name}"').fetchall()  # noqa: S608
                found[name] = hashlib.sha256(repr(sorted(rows, key=repr)).encode()).hexdigest()
            return found


def describe_files(directory: Path) -> dict[str, str]:
    """Return owner, mode and hash of every file; restic's locks come and go."""
    return {
        str(path.relative_to(directory)): f"{path.lstat().st_uid} {path.lstat().st_mode}"
        + (f" {hashlib.sha256(path.read_bytes()).hexdigest()}" if path.is_file() else "")
        for path in sorted(directory.rglob("*"))
        if "locks" not in path.parts
    }


def make_machine(
    directory: Path, repository: Path, server: PostgresServer, *, copy_of: Machine | None = None
) -> Machine:
    """Make a machine with a new folder and empty volumes, or with the folder of another machine."""
    for name in ("bundle/secrets", "media", "state", "report"):
        (directory / name).mkdir(parents=True)
    os.chown(directory / "media", 991, 991)
    database = f"synapse_{secrets.token_hex(4)}"
    folder = directory / "bundle" / "secrets"
    (folder / "postgres_password").write_text(server.password + "\n")
    environ = name_environment(database)
    if copy_of is None:
        environ["VERIFY_KEY"] = write_secrets(folder)
    else:
        environ["VERIFY_KEY"] = copy_of.environ["VERIFY_KEY"]
        for name in ("synapse_database_password", "backup_password", "signing.key", "instance"):
            (folder / name).write_bytes((copy_of.folder / "secrets" / name).read_bytes())
    return Machine(
        directory=directory,
        repository=repository,
        server=server,
        database=database,
        environ=environ,
    )


def name_environment(database: str) -> dict[str, str]:
    """Return the environment of the `backup` container; its database and role have one name."""
    return {
        "SERVER_NAME": "example.org",
        "PRODUCT_VERSION": "0.2.0",
        "IMAGES": "postgres=postgres:17-trixie synapse=matrixdotorg/synapse:v1",
        "DATABASE_PORT": "5432",
        "DATABASE_PATIENCE": "60",
        "DATABASE_NAME": database,
        "DATABASE_ROLE": database,
        "SUPERUSER_PASSWORD_FILE": "/bundle/secrets/postgres_password",
        "ROLE_PASSWORD_FILE": "/bundle/secrets/synapse_database_password",
        "INSTANCE_FILE": "/bundle/secrets/instance",
        "CLAIM_DIRECTORY": "none",
        "BUNDLE_DIRECTORY": "/bundle",
        "MEDIA_DIRECTORY": "/media",
        "MEDIA_OWNER": "991",
        "STATE_DIRECTORY": "/state",
        "RUNTIME_DIRECTORY": "/run/backup",
        "REPORT_DIRECTORY": "/report/backup",
        "BACKUP_REPOSITORY": "/repository",
        "BACKUP_REPOSITORY_NAME": "./backups",
        "BACKUP_PASSWORD_FILE": "/bundle/secrets/backup_password",
        "BACKUP_CREDENTIALS_FILE": "none",
        "BACKUP_SSH_KEY_FILE": "none",
        "BACKUP_KNOWN_HOSTS_FILE": "none",
        "BACKUP_AT": "none",
        "BACKUP_KEEP": "daily=7 weekly=5 monthly=12",
        "BACKUP_APPEND_ONLY": "yes",
        "BACKUP_REMOTE_MEDIA": "no",
        "BACKUP_VERIFY": "30",
        "BACKUP_DRILL": "none",
        "BACKUP_EXCLUDE": "none",
    }


def write_secrets(folder: Path) -> str:
    """Write the secrets of a new server and return its public signing key."""
    for name in ("synapse_database_password", "backup_password"):
        (folder / name).write_text(secrets.token_hex(16) + "\n")
    (folder / "instance").write_text("\n")
    key = generate_signing_key("a_TEST")
    with (folder / "signing.key").open("w") as file:
        write_signing_keys(file, [key])
    return f"ed25519:a_TEST {encode_verify_key_base64(get_verify_key(key))}"
