"""Row 16: PostgreSQL's next major version, beside the same by hand with `pg_dump` and `pg_restore`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

from tests.bench.figures import Contender, Figure, Goal, Sample, divide
from tests.bench.filled_server import FilledServer, find_backup_image
from tests.support.engine import docker, try_docker
from tests.support.processes import run
from tests.support.waiting import wait_for

DUMP: Final = "pg_dump $connect --format=custom --file=/out/database.dump synapse"
NEWER: Final = "postgres:18-trixie"
# In the container of the newer version.
LOAD: Final = """
export PGUSER=postgres
psql --quiet --command="CREATE ROLE synapse_user" --command="CREATE DATABASE synapse OWNER synapse_user TEMPLATE template0 LOCALE 'C'"
pg_restore --no-owner --role=synapse_user --single-transaction --exit-on-error --dbname=synapse /out/database.dump
"""


def measure(server: FilledServer) -> Iterator[Figure]:
    """Upgrade by hand on the older version, then by the command; once, for there is no way back."""
    server.make_set()
    fetch(server)
    programs, by_hand = upgrade_by_hand(server)
    stack = server.stack
    files = ["--settings", str(stack.settings), "--output", str(stack.directory)]
    command = [sys.executable, "-m", "synapse_bundle", "upgrade-database", "--yes", *files]
    upgrade = Contender(
        label="upgrade-database", unit="s", samples=(take_time(lambda: run(command)),)
    )
    server.data.image = find_backup_image(stack)
    note = "the command also makes a set, compares every row and checks the server"
    for label, reference, goal in (
        ("by hand, from the stop to the start", by_hand, Goal(bound=1.5)),
        ("pg_dump and pg_restore alone", programs, None),
    ):
        other = Contender(label=label, unit="s", samples=(reference,))
        yield Figure(
            row="16",
            what=f"`upgrade-database` / {label}",
            values=divide(upgrade, other),
            goal=goal,
            contenders=(upgrade, other),
            note=note,
        )


def take_time(carry_out: Callable[[], object]) -> Sample:
    """Return how long something takes."""
    began = time.perf_counter()
    carry_out()
    return Sample(value=time.perf_counter() - began, cpu=0.0)


def fetch(server: FilledServer) -> None:
    """Have the newer images here, as both sides have them then."""
    other = server.folder / "newer"
    files = ["--settings", str(server.stack.settings), "--output", str(other)]
    run([sys.executable, "-m", "synapse_bundle", "generate", *files])
    run(["docker", "compose", "--profile", "tools", "build", "--quiet"], cwd=other)


def upgrade_by_hand(server: FilledServer) -> tuple[Sample, Sample]:
    """Stop the server, dump, start the newer PostgreSQL on a volume of its own, load, start the server.

    Return the time of the two programs alone, and of all. The server starts with the older version again.
    """
    stack = server.stack
    services = stack.compose("ps", "--services").stdout.split()
    programs = 0.0

    def carry_out() -> None:
        nonlocal programs
        stack.compose("stop", *(name for name in services if name != "postgres"))
        programs += server.run_reference(DUMP).seconds
        stack.compose("stop", "postgres")
        options = [f"--volume={server.folder}:/out", "--env=POSTGRES_HOST_AUTH_METHOD=trust"]
        newer = docker("run", "--detach", *options, NEWER).strip()
        try:
            answers = ("exec", newer, "pg_isready", "--host=127.0.0.1")
            wait_for(lambda: try_docker(*answers).returncode == 0, "PostgreSQL answers")
            load = take_time(lambda: docker("exec", newer, "bash", "-ec", LOAD))
            programs += load.value
        finally:
            docker("rm", "--force", "--volumes", newer)
        stack.compose("up", "--detach", "--wait")

    whole = take_time(carry_out)
    return Sample(value=programs, cpu=0.0), whole
