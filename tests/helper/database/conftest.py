"""The place where a test of the bootstrap runs it."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

import pytest

from bundle_helper.database import connection
from tests.helper.conftest import PostgresServer
from tests.helper.database.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def place(postgres_address: PostgresServer, tmp_path: Path) -> Iterator[Place]:
    """Names that no other test uses; both are dropped afterwards."""
    name = f"synapse_{secrets.token_hex(4)}"
    (tmp_path / "superuser").write_text(postgres_address.password + "\n")
    (tmp_path / "role").write_text(secrets.token_hex(16) + "\n")
    (tmp_path / "media").mkdir()
    (tmp_path / "instance").write_text("\n")
    place = Place(
        server=postgres_address,
        environ={
            "SERVER_NAME": "example.org",
            "INSTANCE_FILE": str(tmp_path / "instance"),
            "CLAIM_DIRECTORY": "none",
            "DATABASE_HOST": postgres_address.host,
            "DATABASE_PORT": str(postgres_address.port),
            "DATABASE_PATIENCE": "180",
            "DATABASE_NAME": name,
            "DATABASE_ROLE": name,
            "SUPERUSER_PASSWORD_FILE": str(tmp_path / "superuser"),
            "ROLE_PASSWORD_FILE": str(tmp_path / "role"),
            "VOLUME_OWNERS": f"{tmp_path / 'media'}={os.geteuid() or 991}",
            "REPORT_FILE": str(tmp_path / "database.json"),
        },
    )
    connection.connect_as_superuser(place.settings).close()
    yield place
    with place.superuser() as superuser:
        superuser.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        superuser.execute(f'DROP ROLE IF EXISTS "{name}"')
