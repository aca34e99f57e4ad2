"""Fixtures: machines, with one repository between them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helper.conftest import PostgresServer
from tests.helper.machines import Machine, build_image, make_machine
from tests.helper.repositories import restic, weaken_key

if TYPE_CHECKING:
    from collections.abc import Iterator

CopyMachine = Callable[[], Machine]


@pytest.fixture(scope="session")
def backup_image() -> None:
    """Build the image of the `backup` container."""
    build_image()


def start_old_machine(directory: Path, server: PostgresServer) -> Machine:
    """Make a machine with a server that has run, and an empty repository."""
    repository = directory / "repository"
    repository.mkdir()
    machine = make_machine(directory / "old", repository, server)
    code, said = machine.start_server()
    assert code == 0, said
    machine.fill()
    restic(machine, "init")
    weaken_key(repository, (machine.folder / "secrets" / "backup_password").read_text().strip())
    return machine


@pytest.fixture
def old_machine(
    backup_image: None, postgres_address: PostgresServer, tmp_path: Path
) -> Iterator[Machine]:
    """Return a machine with a server that has run, and no set yet."""
    machine = start_old_machine(tmp_path, postgres_address)
    yield machine
    machine.stop()


@pytest.fixture
def new_machine(
    old_machine: Machine, postgres_address: PostgresServer, tmp_path: Path
) -> Iterator[Machine]:
    """Return a machine with a copy of that server's folder, and nothing else."""
    machine = make_machine(
        tmp_path / "new", old_machine.repository, postgres_address, copy_of=old_machine
    )
    yield machine
    machine.stop()


@pytest.fixture(scope="module")
def saved_machine(
    backup_image: None, postgres_address: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Return a machine with a server that has run, and one set; nothing may change it."""
    machine = start_old_machine(tmp_path_factory.mktemp("saved"), postgres_address)
    machine.succeed("backup", "now")
    yield machine
    machine.stop()


@pytest.fixture
def target(
    saved_machine: Machine, postgres_address: PostgresServer, tmp_path: Path
) -> Iterator[Machine]:
    """Return a machine with copies of that server's folder and repository, and nothing else."""
    shutil.copytree(saved_machine.repository, tmp_path / "repository")
    machine = make_machine(
        tmp_path / "target", tmp_path / "repository", postgres_address, copy_of=saved_machine
    )
    yield machine
    machine.stop()
