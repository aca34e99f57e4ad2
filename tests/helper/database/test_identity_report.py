"""What bootstrap lets others know of the data: never its id."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator

import psycopg
import pytest

from bundle_helper.database.identity_report import describe_identity
from tests.helper.conftest import PostgresServer
from tests.support.waiting import wait_for

pytestmark = pytest.mark.engine

ID = "0123456789abcdef0123456789abcdef"
TABLE = "synapse_bundle_instance"


@pytest.fixture
def superuser(postgres_address: PostgresServer) -> Iterator[psycopg.Connection]:
    """A connection to the database `postgres`; nothing of it stays."""
    with connect(postgres_address) as connection:
        connection.execute(f"DROP TABLE IF EXISTS {TABLE}")
        connection.execute(f"CREATE TABLE {TABLE} (database text PRIMARY KEY, id text NOT NULL)")
        connection.execute(f"INSERT INTO {TABLE} VALUES ('synapse', %s)", (ID,))  # noqa: S608
        yield connection
        connection.rollback()


def connect(server: PostgresServer) -> psycopg.Connection:
    """Connect as soon as the server has started."""
    found: list[psycopg.Connection] = []

    def answers() -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            found.append(
                psycopg.connect(
                    host=server.host, port=server.port, user="postgres", password=server.password
                )
            )
        return bool(found)

    wait_for(answers, "PostgreSQL answers")
    return found[0]


def test_the_id_is_told_as_a_hash(superuser: psycopg.Connection) -> None:
    """Data from before there were epochs is in its first."""
    found = describe_identity(superuser, "synapse")
    assert found == {"instance": hashlib.sha256(ID.encode()).hexdigest(), "epoch": 1}


def test_the_epoch_is_that_of_the_data(superuser: psycopg.Connection) -> None:
    """A restore has raised it."""
    superuser.execute(f"ALTER TABLE {TABLE} ADD COLUMN epoch bigint NOT NULL DEFAULT 1")
    superuser.execute(f"UPDATE {TABLE} SET epoch = 7")  # noqa: S608
    assert describe_identity(superuser, "synapse")["epoch"] == 7
