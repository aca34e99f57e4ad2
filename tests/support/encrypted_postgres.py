"""A PostgreSQL that lets nobody in without TLS, with a certificate of an authority of its own.

It runs from Debian's package where that is installed, and from PostgreSQL's image where it is not, or
where containers have to reach it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import trustme

from tests.support.ports import find_port
from tests.support.waiting import wait_for

# As root it may not run; this is nobody, and in the image postgres.
_USER: Final[dict[str, Any]] = (
    {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
)
# The newest server's initdb: a folder may hold the client's programs alone.
PROGRAMS: Final = max(Path("/usr/lib/postgresql").glob("*/bin/initdb"), default=None)
_IMAGE: Final = "postgres:17-trixie"
_ACCESS: Final = "local all all scram-sha-256\nhostssl all all all scram-sha-256\n"
# In the image: the key has to be the server's own, and a file.
_START: Final = """
install -d -o postgres -m 0700 /tmp/tls
printf %s "$CERTIFICATE" >/tmp/tls/certificate.pem
printf %s "$KEY" >/tmp/tls/key.pem
printf %s "$ACCESS" >/tmp/tls/access
chown postgres /tmp/tls/* && chmod 0600 /tmp/tls/*
exec docker-entrypoint.sh postgres -c ssl=on -c ssl_cert_file=/tmp/tls/certificate.pem \
  -c ssl_key_file=/tmp/tls/key.pem -c hba_file=/tmp/tls/access -c fsync=off
"""


@dataclass(frozen=True, kw_only=True)
class EncryptedPostgres:
    """How it is reached; its certificate is for `localhost`, and `root` is what proves it.

    `container` is its container, if it runs in one.
    """

    port: int
    password: str
    root: Path
    container: str = ""

    def superuser(self, database: str = "postgres") -> psycopg.Connection:
        """Connect as its superuser."""
        return psycopg.connect(
            host="localhost",
            port=self.port,
            user="postgres",
            password=self.password,
            dbname=database,
            sslmode="verify-full",
            sslrootcert=str(self.root),
            autocommit=True,
        )


@dataclass(frozen=True, kw_only=True)
class _Keys:
    """What a server begins with."""

    password: str
    chain: str
    key: str


@contextmanager
def run_encrypted(network: str = "", name: str = "") -> Iterator[EncryptedPostgres]:
    """Run one, also in a network of the engine's by a name of its own there; nothing of it stays."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", *([name] if name else []))
    directory = Path(tempfile.mkdtemp(prefix="encrypted-postgres-"))
    directory.chmod(0o755)
    authority.cert_pem.write_to_path(directory / "root.pem")
    keys = _Keys(
        password=secrets.token_hex(16),
        chain="".join(blob.bytes().decode() for blob in certificate.cert_chain_pems),
        key=certificate.private_key_pem.bytes().decode(),
    )
    try:
        inside = PROGRAMS and not network
        run = _run_program(directory, keys) if inside else _run_image(keys, network, name)
        with run as (port, container):
            server = EncryptedPostgres(
                port=port,
                password=keys.password,
                root=directory / "root.pem",
                container=container,
            )
            wait_for(lambda: _answers(server), "PostgreSQL answers")
            yield server
    finally:
        shutil.rmtree(directory)


def _answers(server: EncryptedPostgres) -> bool:
    with suppress(psycopg.OperationalError):
        server.superuser().close()
        return True
    return False


@contextmanager
def _run_program(directory: Path, keys: _Keys) -> Iterator[tuple[int, str]]:
    assert PROGRAMS
    own = directory / "own"
    own.mkdir(mode=0o700)
    (own / "password").write_text(keys.password)
    (own / "certificate").write_text(keys.chain)
    (own / "key").write_text(keys.key)
    (own / "key").chmod(0o600)
    (own / "access").write_text(_ACCESS)
    if _USER:
        for path in (own, *own.iterdir()):
            os.chown(path, 65534, 65534)
    initialize: list[str | Path] = [
        *(PROGRAMS, "--pgdata", own / "data", "--username=postgres", "--no-sync"),
        *("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256", f"--pwfile={own / 'password'}"),
    ]
    subprocess.run(initialize, check=True, capture_output=True, cwd=own, **_USER)
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    options = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": own,
        "ssl": "on",
        "ssl_cert_file": own / "certificate",
        "ssl_key_file": own / "key",
        "hba_file": own / "access",
        "fsync": "off",
    }
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    command: list[str | Path] = [PROGRAMS.with_name("postgres"), "-D", own / "data", *words]
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, cwd=own, **_USER) as process,
    ):
        try:
            yield port, ""
        finally:
            process.terminate()


@contextmanager
def _run_image(keys: _Keys, network: str, name: str) -> Iterator[tuple[int, str]]:
    values = {
        "POSTGRES_PASSWORD": keys.password,
        "CERTIFICATE": keys.chain,
        "KEY": keys.key,
        "ACCESS": _ACCESS,
    }
    place = (f"--network={network}", f"--network-alias={name}") if network else ()
    # A port that the engine chooses would be another one after a restart.
    port = find_port()
    container = _docker(
        *("run", "--detach", "--rm", f"--publish=127.0.0.1:{port}:5432", "--entrypoint=bash"),
        *place,
        *(word for name in values for word in ("--env", name)),
        *(_IMAGE, "-c", _START),
        environment=values,
    )
    try:
        yield port, container
    finally:
        _docker("rm", "--force", "--volumes", container)


def _docker(*arguments: str, environment: dict[str, str] | None = None) -> str:
    return subprocess.run(
        ["docker", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | (environment or {}),
    ).stdout.strip()
