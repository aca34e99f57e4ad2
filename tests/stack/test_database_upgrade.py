"""A running server gets PostgreSQL's next major version, cut off at each step; or goes back to the old one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

import pytest

from synapse_bundle import topology
from tests.generator.succeeding import age
from tests.stack.accounts import Person, register
from tests.stack.lifetime import keep
from tests.support.engine import docker, try_docker
from tests.support.stacks import Stack, generate
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

OLDER, NEWER = topology.POSTGRES.of_version(17), topology.POSTGRES.of_version(18)
# What it says where a run is killed, one after the other; the other steps are cut off in tests/generator.
CUTS: Final = (
    "Synapse is shut out",
    "hand the data over",
    "write the bundle",
    "restoring the database",
    "start Synapse",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A server of PostgreSQL 17."""
    stack = generate(tmp_path_factory.mktemp("upgrade"), "upgrade", "")
    age(stack.directory)
    stack.generate()
    for made in keep(stack):
        wait_for(
            lambda: ask_postgres(stack, "SELECT count(*) FROM background_updates") == "0", "settled"
        )
        yield made


def ask_postgres(server: Stack, query: str) -> str:
    """Return what the superuser is answered."""
    script = (
        f"PGPASSWORD=$(cat {topology.SECRETS}/postgres_password) psql -h 127.0.0.1 -U postgres"
        f' -d {topology.POSTGRES.database} -tAc "{query}"'
    )
    return server.compose("exec", "--no-TTY", "postgres", "sh", "-c", script).stdout.strip()


def start_upgrade(server: Stack, *options: str) -> subprocess.Popen[str]:
    """Start the command as a user would."""
    files = ["--settings", str(server.settings), "--output", str(server.directory)]
    command = [sys.executable, "-m", "synapse_bundle", "upgrade-database", "--yes", *files]
    return subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def upgrade(server: Stack, *options: str, code: int = 0) -> str:
    """Run the command to its end and return what it said."""
    with start_upgrade(server, *options) as process:
        said, _ = process.communicate()
    assert process.returncode == code, said
    return said


def cut_off(server: Stack, words: str) -> None:
    """Kill the command and all that it started when it says this."""
    said = []
    with start_upgrade(server) as process:
        assert process.stdout
        for line in process.stdout:
            said.append(line)
            if words in line and not line.startswith("  - "):
                os.killpg(process.pid, signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL, "".join(said)
    running = ["--filter", f"label=com.docker.compose.project={server.project}"]
    running += ["--filter", "label=com.docker.compose.service=postgres"]
    assert len(docker("ps", "--quiet", *running).split()) <= 1


def assert_green(server: Stack, version: int) -> None:
    """The server runs on this version, and its own check is green."""
    assert ask_postgres(server, "SHOW server_version").startswith(f"{version}.")
    rows = json.loads(server.check().stdout)["checks"]
    assert [row for row in rows if not row["ok"]] == []


def test_the_way_back_before_clients_come(server: Stack) -> None:
    """The older one goes on with all that it had."""
    person = register(server, "before")
    room = person.create_room()
    person.send(room, "kept")
    cut_off(server, "close the way back")
    assert "as before" in upgrade(server, "--undo")
    assert person.read(room)[0] == "kept"
    person.send(room, "on the older one")
    assert_green(server, 17)


def test_a_kill_at_each_step_of_an_upgrade(server: Stack) -> None:
    """Each run goes on where the one before was cut off, and nothing is lost."""
    person: Person = register(server, "mover")
    room = person.create_room()
    person.send(room, "before the upgrade")
    uri = person.upload(b"a file").json["content_uri"]
    since = person.call("GET", "/sync?timeout=0")["next_batch"]
    person.send(room, "not seen yet")
    for words in CUTS:
        cut_off(server, words)
    said = upgrade(server)
    assert "The server runs with PostgreSQL 18" in said
    assert_green(server, 18)
    # The same session, the position in the streams, and the files are those from before.
    joined = person.call("GET", f"/sync?timeout=0&since={since}")["rooms"]["join"]
    bodies = [e["content"].get("body") for e in joined[room]["timeline"]["events"]]
    assert bodies == ["not seen yet"]
    assert person.download(uri).body == b"a file"
    person.send(room, "after the upgrade")
    assert "Clients have used PostgreSQL 18" in upgrade(server, "--undo", code=2)


def test_the_old_image_refuses_the_old_data(server: Stack) -> None:
    """Whoever puts the old tag back does not start the old data; then it is removed for good."""
    home = topology.POSTGRES.home
    volume = f"--volume={server.project}_postgres:{home}"
    done = try_docker(
        *("run", "--rm", "--user=999:999", "--network=none", f"--env=PGDATA={OLDER.data}", volume),
        *(f"--volume={server.directory}/postgres:/srv/postgres:ro", "--entrypoint=/bin/bash"),
        *("postgres:17-trixie", "/srv/postgres/start.sh", "postgres"),
    )
    assert (done.returncode, "was handed over to PostgreSQL 18" in done.stderr) == (1, True)
    upgrade(server, "--remove-old")
    assert (
        docker("run", "--rm", volume, "--entrypoint=ls", "postgres:17-trixie", f"{home}/17") == ""
    )
    assert_green(server, 18)
