"""Fixtures: a machine with a running server and an empty one, with one repository between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.helper.conftest import PostgresServer
from tests.helper.machines import Machine, build_image, make_machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def backup_image() -> None:
    """Build the image of the `backup` container."""
    build_image()


@pytest.fixture
def old_machine(
    backup_image: None, postgres_address: PostgresServer, tmp_path: Path
) -> Iterator[Machine]:
    """Return a machine with a server that has run."""
    (tmp_path / "repository").mkdir()
    machine = make_machine(tmp_path / "old", tmp_path / "repository", postgres_address)
    try:
        code, said = machine.start_server()
        assert code == 0, said
        machine.fill()
        yield machine
    finally:
        machine.stop()


@pytest.fixture
def new_machine(
    old_machine: Machine, postgres_address: PostgresServer, tmp_path: Path
) -> Iterator[Machine]:
    """Return a machine with a copy of that server's folder, and nothing else."""
    machine = make_machine(
        tmp_path / "new", old_machine.repository, postgres_address, copy_of=old_machine
    )
    try:
        yield machine
    finally:
        machine.stop()
