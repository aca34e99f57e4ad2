"""A disk that fills in the middle of a restore: nothing is changed, and with room again the next run completes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from tests.helper.conftest import PostgresServer
from tests.helper.machines import Machine
from tests.support.engine import docker, try_docker
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine
# Fills the disk at {place} when {step} of {module} begins, which finds the room that was checked gone.
_FILL: Final = """
import errno
from bundle_helper.{module} import {owner}
begin = {owner}.{step}
def fill(*arguments, **options):
    size = 1 << 20
    with open("{place}/filler", "ab", buffering=0) as file:
        while size:
            try:
                file.write(b"x" * size)
            except OSError as error:
                assert error.errno == errno.ENOSPC
                size //= 2
    return begin(*arguments, **options)
{owner}.{step} = fill
"""


@contextmanager
def small_volume(size: str) -> Iterator[str]:
    """Make a volume of this size that is a disk of its own."""
    name = f"small-{secrets.token_hex(4)}"
    options = ("type=tmpfs", "device=tmpfs", f"o=size={size}")
    docker("volume", "create", *(f"--opt={option}" for option in options), name)
    try:
        yield name
    finally:
        docker("volume", "rm", "--force", name)


@dataclass(frozen=True, kw_only=True)
class SmallMachine(Machine):
    """A machine whose files are in a volume of their own."""

    volume: str

    @property
    def media(self) -> Path:
        """The name of that volume."""
        return Path(self.volume)


def test_the_files_find_no_room(target: Machine) -> None:
    """The sentence names the reason, and nothing is left of what was written."""
    with small_volume("1m") as volume:
        machine = SmallMachine(
            directory=target.directory,
            repository=target.repository,
            server=target.server,
            database=target.database,
            environ=target.environ,
            volume=volume,
        )
        try:
            fill = _FILL.format(
                module="backup.repository", owner="Repository", step="restore", place="/media"
            )
            code, said = machine.run("restore", code=fill)
            assert (code, "the disk with Docker's volumes is full" in said) == (1, True), said
            machine.execute("rm", "/media/filler")
            assert machine.execute("ls", "--almost-all", "/media") == ""
            code, said = machine.start_server()
            assert (code, "the volumes here are empty" in said) == (1, True), said
            machine.succeed("restore")
            assert machine.can_start
            found = machine.execute("find", "/media", "-type", "f", "-user", "991").splitlines()
            assert len(found) == 3
        finally:
            machine.stop()


@contextmanager
def small_server(volume: str) -> Iterator[PostgresServer]:
    """Start a PostgreSQL whose data is in a volume."""
    password = secrets.token_hex(16)
    container = docker(
        *("run", "--detach", "--publish=127.0.0.1::5432", f"--env=POSTGRES_PASSWORD={password}"),
        *(f"--volume={volume}:/small", "--env=PGDATA=/small/data", "postgres:17-trixie"),
        *("-c", "fsync=off"),
    ).strip()
    try:
        address = docker("port", container, "5432/tcp").split()[0]
        port = int(address.rpartition(":")[2])
        # Over TCP: while it makes its first files it listens on the socket alone.
        ready = ("exec", container, "pg_isready", "--host=127.0.0.1")
        wait_for(lambda: try_docker(*ready).returncode == 0, "PostgreSQL answers")
        yield PostgresServer(container=container, host="127.0.0.1", port=port, password=password)
    finally:
        docker("rm", "--force", "--volumes", container)


@pytest.mark.parametrize("step", ["create_empty", "load_dump"])
def test_the_database_finds_no_room(target: Machine, step: str) -> None:
    """Whether the database is being made or loaded: PostgreSQL runs on, and the next run completes."""
    with small_volume("160m") as volume, small_server(volume) as server:
        machine = Machine(
            directory=target.directory,
            repository=target.repository,
            server=server,
            database=target.database,
            environ={k: v for k, v in target.environ.items() if k != "DATABASE_HOST"},
            options=(f"--volume={volume}:/small",),
        )
        (machine.folder / "secrets" / "postgres_password").write_text(f"{server.password}\n")
        try:
            fill = _FILL.format(module="restore", owner="loading", step=step, place="/small")
            code, said = machine.run("restore", code=fill)
            assert (code, "No space left on device" in said) == (1, True), said
            assert not machine.can_start
            machine.execute("rm", "/small/filler")
            code, said = machine.start_server()
            assert (code, "the volumes here are empty" in said) == (1, True), said
            machine.succeed("restore")
            assert machine.can_start
            assert machine.ask("SELECT count(*) FROM events") == 500
        finally:
            machine.stop()
