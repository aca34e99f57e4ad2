"""A first start of PostgreSQL that is cut off at any point: the next one makes the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.stack.fault_injection import ask_database
from tests.support.processes import run
from tests.support.stacks import Stack, generate

pytestmark = pytest.mark.engine

HOME: Final = "/var/lib/postgresql"
# What is there when the cut comes, in the order in which it appears; any directory below 18 counts.
STAGES: Final = {
    "directories": "ls -d 18/docker*/pg_wal",
    "version": "ls 18/docker*/PG_VERSION",
    "control file": "ls 18/docker*/global/pg_control",
    "database postgres": "ls 18/docker*/base/5",
    "server of its own": "ls 18/docker*/postmaster.opts",
}
NOW: Final = "/bin/bash /srv/postgres/start.sh postgres"
# As bundles of earlier days did it, in the final place.
EARLIER: Final = "docker-ensure-initdb.sh postgres"
# The first process of a container takes all others with it, at once.
CUT: Final = (
    "cd {home}; {start} & until {stage} >/dev/null 2>&1; do kill -0 $! || exit 8; done; exit 7"
)


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[Stack]:
    """The trial, generated and never started."""
    stack = generate(tmp_path, "first", "")
    try:
        yield stack
    finally:
        stack.down()


def run_in_place(stack: Stack, script: str) -> str:
    """Run a script as the bundle's PostgreSQL would run, but as the first process of its own."""
    override = stack.directory / "cut.yaml"
    entrypoint = {"entrypoint": ["/bin/bash", "-c", script], "command": [], "init": False}
    override.write_text(yaml.safe_dump({"services": {"postgres": entrypoint}}))
    files = ["--file", "compose.yaml", "--file", override.name]
    command = ["docker", "compose", *files, "run", "--rm", "--no-deps", "--no-TTY", "postgres"]
    done = run(command, cwd=stack.directory, check=False)
    assert done.returncode in (0, 7), done.stdout + done.stderr
    return done.stdout.strip()


def start(stack: Stack) -> None:
    """Start PostgreSQL and check it with the bundle's own bootstrap."""
    stack.compose("up", "--detach", "--wait", "postgres")
    done = stack.compose("run", "--rm", "--no-deps", "--no-TTY", "bootstrap", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert stack.inspect("postgres")["RestartCount"] == 0


def test_a_first_start_that_is_cut_off_is_repaired(bundle: Stack) -> None:
    """After being cut off again and again, each time later, the next start makes a whole database."""
    for stage in STAGES.values():
        run_in_place(bundle, CUT.format(home=HOME, start=NOW, stage=stage))
    start(bundle)
    assert run_in_place(bundle, f"ls -A {HOME}/18") == "docker"


@pytest.mark.parametrize("stage", ["directories", "database postgres", "control file"])
def test_what_an_earlier_bundle_left_half_done_is_repaired(bundle: Stack, stage: str) -> None:
    """A database that was cut off in its final place, before it could hold anything, is made again."""
    run_in_place(bundle, CUT.format(home=HOME, start=EARLIER, stage=STAGES[stage]))
    start(bundle)


@pytest.mark.parametrize("database", ["kept", "postgres"])
def test_a_database_that_holds_something_is_never_replaced(bundle: Stack, database: str) -> None:
    """What looks half done and holds a database or a table stays as it is, byte for byte."""
    start(bundle)
    ask_database(bundle, "postgres", "DROP DATABASE synapse")
    if database != "postgres":
        ask_database(bundle, "postgres", f"CREATE DATABASE {database}")
    ask_database(bundle, database, "CREATE TABLE answers AS SELECT 42 AS answer")
    shut = f"sed -i '/^host all all all/d' {HOME}/18/docker/pg_hba.conf"
    bundle.compose("exec", "--no-TTY", "postgres", "bash", "-c", shut)
    bundle.compose("restart", "postgres")
    bundle.compose("up", "--detach", "--wait", "postgres")
    assert ask_database(bundle, database, "SELECT answer FROM answers") == "42"
