"""A database that is not the bundle's own: proved through TLS, refused with what to type, never made."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
import trustme

from bundle_helper.check.database_proof import probe_proof
from bundle_helper.cluster.waiting import wait_for_database
from bundle_helper.database import bootstrap, external
from bundle_helper.errors import HelperError
from bundle_helper.settings.bootstrap_settings import BootstrapSettings
from bundle_helper.settings.service_settings import ServiceSettings
from bundle_helper.settings.wait_settings import DatabaseWait
from tests.helper.conftest import Bundle
from tests.helper.database.place import MAIN, REPOSITORY
from tests.support.encrypted_postgres import (
    PROGRAMS,
    EncryptedPostgres,
    run_encrypted,
)

pytestmark = [] if PROGRAMS else [pytest.mark.engine]
ID = re.compile(r"[0-9a-f]{32}\n")


@pytest.fixture(scope="module")
def server() -> Iterator[EncryptedPostgres]:
    """One PostgreSQL for the tests of this module."""
    with run_encrypted() as server:
        yield server


@dataclass(frozen=True, kw_only=True)
class Rented:
    """A role and a database of its own there, and the bootstrap with that in its environment."""

    server: EncryptedPostgres
    name: str
    environ: dict[str, str]

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Do what whoever runs the database does."""
        with self.server.superuser(database) as superuser:
            superuser.execute(statement.encode())

    def make(self, properties: str = "ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'") -> None:
        """Make the database, for the role."""
        self.execute(
            f'CREATE DATABASE "{self.name}" OWNER "{self.name}" TEMPLATE template0 {properties}'
        )

    def prove(self, **environ: str) -> list[str]:
        """Run the bootstrap; return what it told. HelperError if it refuses."""
        told: list[str] = []
        settings = BootstrapSettings.from_environ(self.environ | environ)
        bootstrap.run(settings, lambda: datetime.now(UTC), told.append)
        return told

    def refuse(self, **environ: str) -> str:
        """Run the bootstrap in vain; return its one message, which is in the report too."""
        with pytest.raises(HelperError) as caught:
            self.prove(**environ)
        assert (
            Path(self.environ["ROLE_PASSWORD_FILE"]).read_text().strip() not in caught.value.message
        )
        assert self.report()["problem"] == caught.value.message
        return caught.value.message

    def report(self) -> dict[str, object]:
        """Return what the bootstrap reported."""
        content: dict[str, object] = json.loads(Path(self.environ["REPORT_FILE"]).read_text())
        return content

    @property
    def instance(self) -> Path:
        """The file by which the folder knows its data."""
        return Path(self.environ["INSTANCE_FILE"])


@pytest.fixture
def rented(server: EncryptedPostgres, tmp_path: Path) -> Iterator[Rented]:
    """A role, and as yet no database."""
    name, password = f"matrix_{secrets.token_hex(4)}", secrets.token_hex(16)
    (tmp_path / "role").write_text(f"{password}\n")
    (tmp_path / "instance").write_text("\n")
    environ = {
        "SERVER_NAME": "example.org",
        "INSTANCE_FILE": str(tmp_path / "instance"),
        "CLAIM_DIRECTORY": "none",
        "DATABASE_HOST": "localhost",
        "DATABASE_PORT": str(server.port),
        "DATABASE_PATIENCE": "60",
        "DATABASE_NAME": name,
        "DATABASE_ROLE": name,
        "DATABASE_SSLMODE": "verify-full",
        "DATABASE_ROOT_FILE": str(server.root),
        "ROLE_PASSWORD_FILE": str(tmp_path / "role"),
        "VOLUME_OWNERS": "none",
        "REPORT_FILE": str(tmp_path / "database.json"),
    }
    rented = Rented(server=server, name=name, environ=environ)
    rented.execute(f"CREATE ROLE \"{name}\" LOGIN PASSWORD '{password}'")
    yield rented
    rented.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    rented.execute(f'DROP ROLE IF EXISTS "{name}"')


def find_statement(message: str) -> str:
    """Return what a message says to type."""
    (statement,) = re.findall(r"`([A-Z]{4,} [^`]+)`", message)
    return str(statement)


def test_it_is_proved_through_tls(rented: Rented, bundle: Bundle) -> None:
    """The folder and the data have one id then, and `check` shows the proof and how it was reached."""
    rented.make()
    assert "made a new server id" in rented.prove()
    assert ID.fullmatch(rented.instance.read_text())
    report = rented.report()
    proof = report["proof"]
    assert isinstance(proof, dict)
    assert proof["encryption"] == "verify-full"
    assert report["epoch"] == 1
    assert len(str(report["instance"])) == 64
    environ = bundle.environ | {"DATABASE_REPORT_FILE": rented.environ["REPORT_FILE"]}
    finding = probe_proof(ServiceSettings.from_environ(environ))
    assert finding.ok, finding
    assert "(UTF8, C)" in finding.detail
    assert finding.detail.endswith(", reached with sslmode verify-full")


def test_a_second_start_changes_nothing(rented: Rented) -> None:
    """The first one wrote the record, in a schema of its own, and nothing else."""
    rented.make()
    rented.prove()
    before = rented.instance.read_text()
    (told,) = rented.prove()
    assert told.startswith("proved: ")
    assert rented.instance.read_text() == before
    with rented.server.superuser(rented.name) as superuser:
        tables = superuser.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^pg_|^information_'"
        ).fetchall()
        assert tables == [("synapse_bundle", "synapse_bundle_instance")]
    with rented.server.superuser() as superuser:
        found = superuser.execute("SELECT to_regclass('public.synapse_bundle_instance')").fetchone()
        assert found == (None,)


def test_only_the_right_root_proves_the_server(rented: Rented, tmp_path: Path) -> None:
    """Another authority, another name, a root that is not there: each refused at once, before the password."""
    rented.make()
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    for environ, words in (
        ({"DATABASE_ROOT_FILE": str(tmp_path / "other.pem")}, "certificate verify failed"),
        ({"DATABASE_ROOT_FILE": str(tmp_path / "absent.pem")}, "does not exist"),
        ({"DATABASE_HOST": "127.0.0.1"}, "does not match host name"),
    ):
        message = rented.refuse(**environ)
        assert words in message
        assert "be issued by the root in `database.root`" in message
    by_root_alone = {"DATABASE_HOST": "127.0.0.1", "DATABASE_SSLMODE": "verify-ca"}
    assert rented.prove(**by_root_alone)
    # Encrypted, but proved by nothing.
    assert rented.prove(DATABASE_SSLMODE="require", DATABASE_ROOT_FILE="none")


def test_without_tls_nobody_is_let_in(rented: Rented) -> None:
    """It is the server that refuses: so what passes elsewhere here passed through TLS."""
    rented.make()
    message = rented.refuse(DATABASE_SSLMODE="disable", DATABASE_ROOT_FILE="none")
    assert "no pg_hba.conf entry" in message
    assert "Whoever runs the database has to let this role in from here" in message


def test_a_wrong_password_is_told_at_once(rented: Rented) -> None:
    """With the key of the settings that names the file."""
    rented.make()
    Path(rented.environ["ROLE_PASSWORD_FILE"]).write_text("another password\n")
    assert "Write the right one into the file that `database.password`" in rented.refuse()


def test_the_message_makes_the_database(rented: Rented) -> None:
    """Without a database, what the message says to type makes one that is good."""
    rented.execute(find_statement(rented.refuse()))
    assert rented.prove()


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ("ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C'", "collation is C.UTF-8 and must be C"),
        (
            "ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'",
            "encoding is SQL_ASCII and must be UTF8",
        ),
    ],
    ids=["collation", "encoding"],
)
def test_a_database_that_synapse_would_refuse_is_refused(
    properties: str, words: str, rented: Rented
) -> None:
    """Nothing is written into it; what the message says to type makes a good one in its place."""
    rented.make(properties)
    message = rented.refuse()
    assert words in message
    rented.execute(f'DROP DATABASE "{rented.name}"')
    rented.execute(find_statement(message))
    assert rented.prove()


def test_a_database_of_another_owner_is_refused(rented: Rented) -> None:
    """One statement gives it to the role."""
    rented.make()
    rented.execute(f'ALTER DATABASE "{rented.name}" OWNER TO postgres')
    rented.execute(find_statement(rented.refuse()))
    assert rented.prove()


@pytest.mark.parametrize("privilege", ["SUPERUSER", "CREATEDB CREATEROLE", "REPLICATION BYPASSRLS"])
def test_a_role_that_may_too_much_is_refused(privilege: str, rented: Rented) -> None:
    """Least privilege is proved here too; the message has the statement that takes the surplus."""
    rented.make()
    rented.execute(f'ALTER ROLE "{rented.name}" {privilege}')
    statement = find_statement(rented.refuse())
    assert all(f"NO{word}" in statement for word in privilege.split())
    rented.execute(statement)
    assert rented.prove()


def test_a_role_that_is_a_member_of_another_is_refused(rented: Rented) -> None:
    """It could act as that one."""
    rented.make()
    rented.execute(f'GRANT pg_read_all_data TO "{rented.name}"')
    rented.execute(find_statement(rented.refuse()))
    assert rented.prove()


def test_a_limit_of_connections_is_the_owners_business(rented: Rented) -> None:
    """Whoever runs a database for many limits each of them."""
    rented.make()
    rented.execute(f'ALTER ROLE "{rented.name}" CONNECTION LIMIT 20')
    assert rented.prove()


def test_an_old_server_is_refused(rented: Rented, monkeypatch: pytest.MonkeyPatch) -> None:
    """Synapse would not start with it."""
    rented.make()
    monkeypatch.setattr(external, "_OLDEST", 99)
    assert "Synapse needs 99 or newer" in rented.refuse()


def test_a_folder_never_begins_again_in_an_empty_database(rented: Rented) -> None:
    """A folder that had data is refused until the data is there, or given up; nothing is written."""
    rented.make()
    rented.instance.write_text(f"{'0' * 32}\n")
    message = rented.refuse()
    assert f"the database {rented.name} at localhost is empty" in message
    assert "docker compose run --rm restore" not in message
    rented.execute(f'SET ROLE "{rented.name}"; CREATE TABLE events (id bigint)', rented.name)
    assert "gave the database the id of this folder" in rented.prove()


def test_a_folder_of_another_server_is_refused(rented: Rented) -> None:
    """The database has its id by then."""
    rented.make()
    rented.prove()
    rented.instance.write_text(f"{'0' * 32}\n")
    message = rented.refuse()
    assert "the data of another server" in message
    assert "a database of its own" in message


def test_to_start_empty_has_to_be_typed(rented: Rented) -> None:
    """As a process, as its container runs it; nothing secret is shown."""
    rented.make()
    rented.instance.write_text(f"{'0' * 32}\n")
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "start-empty", "example.org"],
        env={
            **rented.environ,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY / "images/helper"),
        },
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "made a new server id" in done.stdout
    assert rented.instance.read_text() != f"{'0' * 32}\n"


def test_a_server_that_does_not_answer_is_waited_for(rented: Rented) -> None:
    """As long as the settings say, and then the message has the place."""
    settings = {"DATABASE_PORT": "1", "DATABASE_PATIENCE": "1"}
    message = rented.refuse(**settings)
    assert "at localhost:1 did not let the role" in message
    assert "It must be reachable from this machine" in message


def test_a_copied_folder_does_not_use_it_beside_the_first(rented: Rented, tmp_path: Path) -> None:
    """It has the id of the data, but not the volume; whoever stops the first copy for good types so."""
    rented.make()
    first, second = ({"COPY_FILE": str(tmp_path / name)} for name in ("first", "second"))
    # What is older than this has no such record.
    rented.prove()
    for _ in range(2):
        rented.prove(**first)
    message = rented.refuse(**second)
    assert "another copy of this folder uses the database" in message
    assert rented.refuse(**second) == message
    rented.prove(**first)
    rented.execute(find_statement(message), rented.name)
    rented.prove(**second)
    assert rented.refuse(**first) == message


def test_a_pod_waits_until_the_data_is_known(rented: Rented, tmp_path: Path) -> None:
    """The role can sign in from the beginning, and Synapse would make its tables in any empty database."""
    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        if "does not exist" in sentence:
            rented.make()
        if "it has not been proved yet" in sentence:
            rented.prove(**folder)

    shutil.copy(rented.instance, tmp_path / "folder")
    folder = {"FOLDER_FILE": str(tmp_path / "folder")}
    wait = DatabaseWait.from_environ(rented.environ | folder)
    wait_for_database(wait, tell)
    assert [sentence.partition(";")[0] for sentence in told][-2:] == [
        "waiting for the database: it has not been proved yet",
        "the database is ready",
    ]
    # Another dump was loaded, whose data the bootstrap has not seen.
    rented.execute("DROP SCHEMA synapse_bundle CASCADE", rented.name)
    rented.instance.write_text("\n")
    told.clear()
    wait_for_database(wait, tell)
    assert len(told) == 2
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host="localhost", port=rented.server.port, sslmode="disable").close()
