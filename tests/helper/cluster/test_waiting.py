"""What runs before a pod's services: it ends when they can start, and says why they cannot."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from bundle_helper.cluster.waiting import wait_for_database, wait_for_homeserver
from bundle_helper.settings.environment import Secret
from bundle_helper.settings.wait_settings import DatabaseWait, HomeserverWait
from tests.helper.conftest import PostgresServer


class Synapse(ThreadingHTTPServer):
    """Answers as Synapse does; its health and version are set by the test."""

    healthy = False
    version = "1.0"


@pytest.fixture
def synapse() -> Iterator[Synapse]:
    """A stand-in that is not healthy yet."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server = self.server
            assert isinstance(server, Synapse)
            body: Any = "OK"
            if self.path == "/_matrix/federation/v1/version":
                body = {"server": {"name": "Synapse", "version": f"{server.version} (b=x)"}}
            content = json.dumps(body).encode()
            self.send_response(200 if server.healthy or body != "OK" else 500)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = Synapse(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def find_url(synapse: Synapse) -> str:
    return f"http://127.0.0.1:{synapse.server_address[1]}"


def test_a_worker_waits_for_health_and_version(synapse: Synapse) -> None:
    """Each obstacle is told once; the next one is met only when the first is gone."""
    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        if "answers 500" in sentence:
            synapse.healthy = True
        if "version 1.0" in sentence:
            synapse.version = "2.0"

    wait_for_homeserver(HomeserverWait(url=find_url(synapse), version="2.0"), tell, None)
    assert told == [
        "waiting for Synapse: it answers 500",
        "waiting for Synapse: it is version 1.0, not 2.0",
        "Synapse is ready",
    ]


def test_the_edge_goes_on_after_a_while(synapse: Synapse) -> None:
    """Without Synapse there are still documents to serve."""
    told: list[str] = []
    wait_for_homeserver(HomeserverWait(url=find_url(synapse), version=""), told.append, 0.1)
    assert told[-1].startswith("going on without Synapse")


@pytest.mark.engine
def test_synapse_waits_for_its_role(postgres_address: PostgresServer) -> None:
    """No role, then a role without its database, then both: what the bootstrap makes in this order."""
    name, password = f"wait_{secrets.token_hex(4)}", secrets.token_hex(8)
    told: list[str] = []

    def execute(statement: str) -> None:
        with psycopg.connect(
            host=postgres_address.host,
            port=postgres_address.port,
            user="postgres",
            password=postgres_address.password,
            autocommit=True,
        ) as superuser:
            quoted = sql.SQL(statement).format(sql.Identifier(name), sql.Literal(password))
            superuser.execute(quoted)

    def tell(sentence: str) -> None:
        told.append(sentence)
        if "authentication failed" in sentence:
            execute("CREATE ROLE {0} LOGIN PASSWORD {1}")
        if "does not exist" in sentence:
            execute("CREATE DATABASE {0} OWNER {0}")

    wait = DatabaseWait(
        host=postgres_address.host,
        port=postgres_address.port,
        database=name,
        role=name,
        password=Secret(password),
    )
    try:
        wait_for_database(wait, tell)
    finally:
        execute("DROP DATABASE IF EXISTS {0}")
        execute("DROP ROLE IF EXISTS {0}")
    # Before them the server itself may still be starting.
    refused, missing, ready = told[-3:]
    assert "authentication failed" in refused
    assert "does not exist" in missing
    assert ready == "the database is ready"
    assert password not in "".join(told)


def test_a_wait_that_lacks_its_settings_says_so(tmp_path: Path) -> None:
    """As a process, as a pod runs it: exit code 2 and every missing variable."""
    code = "from bundle_helper.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "wait", "database"],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "images/helper"},
    )
    assert done.returncode == 2
    assert done.stderr.count("is missing") == 5
