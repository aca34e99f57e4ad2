"""Synapse's pod waits until the bootstrap has proved that the data is that of its folder."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import sql

from bundle_helper.cluster.waiting import wait_for_database
from bundle_helper.database import bootstrap
from bundle_helper.errors import HelperError
from bundle_helper.settings.bootstrap_settings import BootstrapSettings
from bundle_helper.settings.wait_settings import DatabaseWait
from tests.support.encrypted_postgres import PROGRAMS, EncryptedPostgres, run_encrypted

pytestmark = [] if PROGRAMS else [pytest.mark.engine]


@pytest.fixture(scope="module")
def server() -> Iterator[EncryptedPostgres]:
    """One PostgreSQL for the tests of this module."""
    with run_encrypted() as server:
        yield server


class StillWaitingError(Exception):
    """The wait said what a test is about, and would go on for ever."""


@dataclass(frozen=True, kw_only=True)
class Namespace:
    """A place in a cluster: a database of its own, and what the pods of one folder mount there."""

    server: EncryptedPostgres
    environ: dict[str, str]

    @classmethod
    def create(cls, server: EncryptedPostgres, volume: Path) -> Namespace:
        """Make everything that is there before the first start; nothing is in the database's volume."""
        name = f"wait_{secrets.token_hex(4)}"
        contents = {"superuser": server.password, "role": secrets.token_hex(8)}
        for title, content in {**contents, "instance": "", "folder": ""}.items():
            (volume / title).write_text(f"{content}\n")
        environ = {
            "SERVER_NAME": "example.org",
            "INSTANCE_FILE": str(volume / "instance"),
            "FOLDER_FILE": str(volume / "folder"),
            "CLAIM_DIRECTORY": "none",
            "DATABASE_HOST": "localhost",
            "DATABASE_PORT": str(server.port),
            "DATABASE_PATIENCE": "60",
            "DATABASE_NAME": name,
            "DATABASE_ROLE": name,
            "SUPERUSER_PASSWORD_FILE": str(volume / "superuser"),
            "ROLE_PASSWORD_FILE": str(volume / "role"),
            "VOLUME_OWNERS": "none",
            "REPORT_FILE": str(volume / "report.json"),
        }
        return cls(server=server, environ=environ)

    def write(self, variable: str, text: str) -> None:
        """Change what a file holds."""
        Path(self.environ[variable]).write_text(f"{text}\n")

    def bootstrap(self) -> None:
        """Run what runs before the helper; HelperError if it refuses."""
        settings = BootstrapSettings.from_environ(self.environ)
        bootstrap.run(settings, lambda: datetime.now(UTC), lambda _: None)

    def wait(self, answers: dict[str, Callable[[], None]] | None = None) -> list[str]:
        """Wait as Synapse's pod does, doing what belongs to a message; return what was told."""
        told: list[str] = []

        def tell(sentence: str) -> None:
            told.append(sentence)
            known = [answer for part, answer in (answers or {}).items() if part in sentence]
            for answer in known:
                answer()
            if not known and sentence != "the database is ready":
                raise StillWaitingError(sentence)

        wait_for_database(DatabaseWait.from_environ(self.environ), tell)
        return told

    def comment(self, text: str | None = None) -> object:
        """Return the comment on the database, or write another one."""
        name = self.environ["DATABASE_NAME"]
        with self.server.superuser() as superuser:
            if text is not None:
                words = sql.SQL("COMMENT ON DATABASE {} IS {}")
                superuser.execute(words.format(sql.Identifier(name), sql.Literal(text)))
            query = (
                "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s"
            )
            row = superuser.execute(query, (name,)).fetchone()
        return row and row[0]


@pytest.fixture
def namespace(server: EncryptedPostgres, tmp_path: Path) -> Iterator[Namespace]:
    """One that has never been started."""
    namespace = Namespace.create(server, tmp_path)
    yield namespace
    name = sql.Identifier(namespace.environ["DATABASE_NAME"])
    with server.superuser() as superuser:
        superuser.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        superuser.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(name))


def test_synapse_waits_for_the_bootstrap(namespace: Namespace) -> None:
    """At the first start there is no role; later Synapse starts without another proof."""
    told = namespace.wait({"authentication failed": namespace.bootstrap})
    assert told[-1] == "the database is ready"
    assert Path(namespace.environ["ROLE_PASSWORD_FILE"]).read_text().strip() not in "".join(told)
    assert namespace.wait() == ["the database is ready"]


def test_synapse_does_not_start_on_the_data_of_another_folder(namespace: Namespace) -> None:
    """The bootstrap refuses it, and Synapse, whose password is the right one, waits with the reason."""
    namespace.bootstrap()
    for variable in ("FOLDER_FILE", "INSTANCE_FILE"):
        namespace.write(variable, "0123456789abcdef" * 2)
    with pytest.raises(HelperError, match="another server"):
        namespace.bootstrap()
    reason = "the data of another folder is in it; .* `kubectl logs deployment/helper -c bootstrap`"
    with pytest.raises(StillWaitingError, match=reason):
        namespace.wait()


def test_synapse_does_not_start_on_data_that_nobody_proved(namespace: Namespace) -> None:
    """Data that came from elsewhere, such as a volume of Compose, has the role and no mark."""
    namespace.bootstrap()
    namespace.comment("")
    assert namespace.wait({"it has not been proved yet": namespace.bootstrap})[-1] == (
        "the database is ready"
    )


def test_a_restored_server_has_another_id_than_the_folder(namespace: Namespace) -> None:
    """The converted folder keeps the id of where it comes from; that of the volume is what counts."""
    namespace.write("FOLDER_FILE", "0123456789abcdef" * 2)
    namespace.bootstrap()
    assert namespace.wait() == ["the database is ready"]


def test_what_else_the_comment_says_is_kept(namespace: Namespace) -> None:
    """It may be that of whoever runs the database; a second proof changes nothing."""
    namespace.bootstrap()
    namespace.comment("rented by us")
    namespace.bootstrap()
    first = namespace.comment()
    namespace.write("FOLDER_FILE", "0123456789abcdef" * 2)
    namespace.bootstrap()
    second = namespace.comment()
    assert first != second
    for comment in (first, second):
        assert re.fullmatch(r"rented by us \[synapse-bundle folder [0-9a-f]{64}\]", str(comment))
