"""A bundle whose PostgreSQL somebody else runs: Synapse and its worker reach it by TLS, and no other way."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
import trustme

from tests.stack.accounts import Person, register
from tests.support.encrypted_postgres import EncryptedPostgres, run_encrypted
from tests.support.engine import docker
from tests.support.matrix import escape
from tests.support.pages import read_block
from tests.support.stacks import Stack, generate
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

HOST: Final = "db.external.test"
PASSWORD: Final = "the password of that role"
SETTINGS: Final = f"""
server_name: external.test
email: you@external.test
certificates: own-authority
workers: small
database:
  host: {HOST}
  password: password
  root: root.pem
"""
HEADING: Final = "An external database"


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A bundle, and the database that it has from somebody else."""

    stack: Stack
    database: EncryptedPostgres

    def ask(self, statement: str) -> list[Any]:
        """Return the rows of a question to the database's superuser."""
        with self.database.superuser("synapse") as connection:
            return connection.execute(statement.encode()).fetchall()

    def sign_up(self) -> Person:
        """Make an account, as soon as everything answers."""
        self.stack.wait_healthy("synapse", "synapse-generic", "apache")
        return register(self.stack)


def make_database(server: EncryptedPostgres) -> None:
    """Make role and database by the statements that docs/settings.md has."""
    statements = [line for line in read_block("settings.md", HEADING) if line.startswith("CREATE")]
    assert len(statements) == 2
    with server.superuser() as connection:
        for statement in statements:
            connection.execute(statement.replace("…", PASSWORD).encode())


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """A running bundle with a worker."""
    folder = tmp_path_factory.mktemp("external")
    network = f"{folder.name}-{folder.parent.name}"
    docker("network", "create", network)
    try:
        with run_encrypted(network, HOST) as server:
            make_database(server)
            (folder / "password").write_text(PASSWORD)
            (folder / "root.pem").write_bytes(server.root.read_bytes())
            stack = generate(folder, "external", SETTINGS)
            override = {"networks": {"database": {"name": network, "external": True}}}
            (stack.directory / "compose.override.yaml").write_text(json.dumps(override))
            try:
                stack.up()
                yield Tenant(stack=stack, database=server)
            finally:
                stack.down()
    finally:
        docker("network", "rm", network)


def test_the_check_is_green_and_tells_how_the_database_is_reached(tenant: Tenant) -> None:
    done = tenant.stack.check()
    assert done.returncode == 0, done.stdout
    rows = {row["name"]: row["detail"] for row in json.loads(done.stdout)["checks"]}
    assert "reached with sslmode verify-full" in rows["database role, locale and owner"]


def test_every_connection_is_encrypted(tenant: Tenant) -> None:
    """Those of the main process and of the worker, which have two addresses."""
    person = tenant.sign_up()
    room = person.create_room()
    person.send(room, "by TLS")
    wait_for(lambda: "by TLS" in person.read(room), "the worker has it from the main process")
    rows = tenant.ask(
        "SELECT client_addr, bool_and(ssl) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid)"
        " WHERE usename = 'synapse_user' GROUP BY client_addr"
    )
    assert len(rows) >= 2, rows
    assert all(encrypted for _, encrypted in rows), rows


def test_it_serves_again_after_the_database_was_restarted(tenant: Tenant) -> None:
    """By whoever runs it, without a word; nothing of the bundle is restarted."""
    person = tenant.sign_up()
    room = person.create_room()
    services = ("synapse", "synapse-generic", "helper")
    before = {name: tenant.stack.inspect(name)["State"]["StartedAt"] for name in services}
    docker("restart", tenant.database.container)
    # As a client does: the same message again until it is acknowledged.
    path = f"/rooms/{escape(room)}/send/m.room.message/after-the-restart"
    message = {"msgtype": "m.text", "body": "after the restart"}
    wait_for(lambda: person.ask("PUT", path, message).status == 200, "a message is acknowledged")
    wait_for(lambda: person.ask("GET", "/sync").status == 200, "the worker answers")
    wait_for(lambda: "after the restart" in person.read(room), "the worker has it")
    assert person.read(room).count("after the restart") == 1
    after = {name: tenant.stack.inspect(name)["State"]["StartedAt"] for name in services}
    assert after == before


def test_an_impostor_gets_no_password(tenant: Tenant) -> None:
    """With another root neither the bootstrap goes on, nor Synapse where that is passed over."""
    stack, root = tenant.stack, tenant.stack.settings.parent / "root.pem"
    right = root.read_bytes()
    person = tenant.sign_up()
    room = person.create_room()
    person.send(room, "before the impostor")
    trustme.CA().cert_pem.write_to_path(root)
    stack.generate()
    try:
        with pytest.raises(AssertionError):
            stack.up("--force-recreate", "synapse")
        assert "certificate verify failed" in read_log(stack, "bootstrap")
        stack.compose("up", "--detach", "--no-deps", "--force-recreate", "synapse")
        wait_for(lambda: "certificate verify failed" in read_log(stack, "synapse"), "it refuses")
    finally:
        root.write_bytes(right)
        stack.generate()
        stack.up()
    wait_for(lambda: "before the impostor" in person.read(room), "it serves again")


def read_log(stack: Stack, service: str) -> str:
    """Return what a service has logged since its container was made."""
    return stack.compose("logs", "--no-log-prefix", service).stdout


def test_a_copy_of_the_folder_is_not_started_on_the_same_data(
    tenant: Tenant, tmp_path: Path
) -> None:
    """It says what to type once the other one is stopped for good; then it is the same server."""
    stack, person = tenant.stack, tenant.sign_up()
    room = person.create_room()
    person.send(room, "before the move")
    copy = replace(stack, directory=tmp_path / "bundle", project=f"{stack.project}-copy")
    shutil.copytree(stack.directory, copy.directory)
    # One engine has room for the networks of one of them.
    stack.compose("down", "--timeout", "0")
    try:
        with pytest.raises(AssertionError):
            copy.up()
        said = read_log(copy, "bootstrap")
        assert "another copy of this folder uses the database synapse" in said
        (statement,) = re.findall("`(DELETE FROM [^`]+)`", said)
        with tenant.database.superuser("synapse") as connection:
            connection.execute(statement.encode())
        copy.up()
        assert "before the move" in replace(person, stack=copy).read(room)
    finally:
        copy.down()
