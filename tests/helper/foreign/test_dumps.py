"""The dump of another PostgreSQL becomes the database of a bundle, whatever cuts it off."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from bundle_helper.database.instance import read_record
from tests.helper.conftest import PostgresServer
from tests.helper.foreign.conftest import NAME, OtherServer, connect
from tests.helper.machines import KILL_CODE, Machine, build_image, make_machine
from tests.support.engine import docker

pytestmark = pytest.mark.engine

# Of another owner, with what an owner of a database alone could not make.
SCHEMA: Final = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
COMMENT ON EXTENSION plpgsql IS 'a comment';
CREATE TABLE schema_version (version integer NOT NULL);
INSERT INTO schema_version VALUES (94);
CREATE TABLE users (name text PRIMARY KEY);
INSERT INTO users VALUES ('@a:example.org');
CREATE TABLE access_tokens (id bigint PRIMARY KEY, token text);
INSERT INTO access_tokens VALUES (1, 'syt_1');
CREATE SEQUENCE events_stream_seq START 77;
CREATE TABLE events (stream_ordering bigint PRIMARY KEY, event_id text UNIQUE, sender text);
INSERT INTO events SELECT nextval('events_stream_seq'), '$' || n, '@a:example.org'
    FROM generate_series(1, 300) AS n;
CREATE TABLE event_json (event_id text REFERENCES events (event_id), json text);
INSERT INTO event_json SELECT event_id, '{"signatures": {"example.org": {"ed25519:a_own": ""}}}' FROM events;
CREATE TABLE state_groups_state (state_group bigint);
CREATE TABLE server_signature_keys (server_name text, key_id text, verify_key bytea);
CREATE FUNCTION check_events() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER check_events BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION check_events();
GRANT SELECT ON users TO PUBLIC;
"""
# What only a superuser may do, where the rows of an index are computed: the loading role is none.
HOSTILE: Final = """
CREATE FUNCTION spy(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
    'BEGIN RETURN pg_read_file(''/etc/hostname''); END';
CREATE INDEX spying ON access_tokens (spy(token));
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OldDatabase:
    """Another server's database in a PostgreSQL that has others too."""

    server: PostgresServer
    name: str

    def execute(self, script: str) -> None:
        """Change it."""
        with connect(self.server, self.name) as connection:
            connection.execute(script.encode())

    def dump(self, path: Path, program: str = "pg_dump", *options: str) -> Path:
        """Dump it with the programs of its own server."""
        inside = f"/{secrets.token_hex(4)}.dump"
        options = options or ("--format=custom",)
        chosen = [f"--dbname={self.name}"] if program == "pg_dump" else []
        docker(
            *("exec", f"--env=PGPASSWORD={self.server.password}", self.server.container, program),
            *("--host=127.0.0.1", "--username=postgres", f"--file={inside}", *options, *chosen),
        )
        docker("cp", f"{self.server.container}:{inside}", str(path))
        path.chmod(0o644)
        return path


@pytest.fixture
def old_database(postgres_address: PostgresServer) -> Iterator[OldDatabase]:
    name = f"old_{secrets.token_hex(4)}"
    with connect(postgres_address) as superuser:
        superuser.execute(f'CREATE ROLE "{name}"')
        superuser.execute(f'CREATE DATABASE "{name}" OWNER "{name}" TEMPLATE template0')
        database = OldDatabase(server=postgres_address, name=name)
        database.execute(SCHEMA)
        database.execute(
            f'ALTER TABLE events OWNER TO "{name}"; ALTER TABLE users OWNER TO "{name}"'
        )
        yield database
        superuser.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        superuser.execute(f'DROP ROLE "{name}"')


@pytest.fixture
def target(other: OtherServer, old_database: OldDatabase, tmp_path: Path) -> Iterator[Machine]:
    """A bundle that has never run, with the other server's folder and dump."""
    build_image()
    other.configure(database={"name": "psycopg2", "args": {}})
    (other.folder / "homeserver.db").unlink()
    old_database.dump(tmp_path / "synapse.dump")
    (tmp_path / "repository").mkdir()
    machine = make_machine(tmp_path / "machine", tmp_path / "repository", old_database.server)
    machine.environ.update(
        IMPORT_SOURCE="/other", IMPORT_DUMP="/dump", IMPORT_COPY="/state/import/homeserver.db"
    )
    machine = dataclasses.replace(
        machine,
        options=(
            f"--volume={other.folder}:/other:ro",
            f"--volume={tmp_path}/synapse.dump:/dump:ro",
        ),
    )
    yield machine
    machine.stop()


def inspect(machine: Machine) -> Any:
    """Return what `import inspect` prints."""
    code, said = machine.run("import", "inspect")
    assert code == 0, said
    return json.loads(said)


def require_whole(machine: Machine) -> None:
    """Fail unless all of the server is there, and the bundle starts."""
    assert machine.ask("SELECT count(*) FROM events") == 300
    assert machine.ask("SELECT last_value FROM events_stream_seq") == 376
    owned = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner <> current_database()"
    assert machine.ask(owned) == 0
    file = machine.media / "media_store" / "local_content" / "aa" / "file"
    assert (file.read_bytes(), file.stat().st_uid) == (b"a file", 991)
    with machine.superuser() as superuser:
        record = read_record(superuser, machine.database)
    assert record is not None
    assert (record.importing, record.id) == (None, machine.instance)
    code, said = machine.start_server()
    assert code == 0, said


def test_a_dump_becomes_the_database(target: Machine, other: OtherServer) -> None:
    """Owners, grants and extensions of its old place are gone, and sequences stand where they did."""
    # As Synapse's user alone may read it.
    (other.folder / "media_store" / "local_content" / "aa" / "file").chmod(0o600)
    before = other.describe()
    rows = dict(inspect(target)["rows"])
    assert rows["database"].startswith("a dump of PostgreSQL 17.")
    target.succeed("import", "begin")
    code, said = target.start_server()
    assert (code, "an import was interrupted" in said) == (1, True)
    code, said = target.run("backup", "move")
    assert (code, "an import was interrupted" in said) == (1, True)
    target.succeed("import", "finish")
    require_whole(target)
    assert other.describe() == before


def test_a_kill_at_any_step_is_completed_by_the_next_run(target: Machine) -> None:
    """Each run is killed later than the one before, in the state that that one left."""
    target.execute("true")
    for step, counted in (("begin", "record"), ("finish", "start")):
        event, code = 0, KILL_CODE
        while code == KILL_CODE:
            event += 2
            assert event < 100
            if step == "finish":
                target.succeed("import", "begin")
                (target.media / "left").write_text("half")
            code, said = target.run("import", step, kill=(event, counted))
            if code != KILL_CODE:
                assert code == 0, said
                break
            with target.superuser() as superuser:
                record = read_record(superuser, target.database)
            if record is not None and record.importing is None:
                # The very last statement was the one after which it was killed.
                break
        assert event > 4
    assert not (target.media / "left").exists()
    require_whole(target)


def test_a_target_with_data_is_left_alone(target: Machine) -> None:
    """A bundle that was started has a database of its own; the way back is named."""
    code, said = target.start_server()
    assert code == 0, said
    target.fill()
    before = target.describe()
    code, said = target.run("import", "begin")
    assert code == 1
    assert "is not empty" in said
    assert "docker compose down --volumes" in said
    assert target.run("import", "finish")[0] == 1
    assert target.describe() == before


def test_dumps_that_are_not_whole(
    target: Machine, old_database: OldDatabase, tmp_path: Path
) -> None:
    """Each is made by the real programs, and refused before anything is changed."""
    cases: list[tuple[str, tuple[str, ...], str]] = [
        ("pg_dump", ("--format=plain",), "make psql run any program"),
        ("pg_dumpall", ("--no-role-passwords",), "by pg_dumpall"),
        ("pg_dump", ("--format=custom", "--schema-only"), "without its rows"),
        ("pg_dump", ("--format=custom", "--exclude-table-data=users"), "the table users without"),
        ("pg_dump", ("--format=custom", "--table=users"), "has no table events"),
        ("pg_dump", ("--format=tar",), "not an archive"),
    ]
    for program, options, words in cases:
        dump = old_database.dump(tmp_path / "other.dump", program, *options)
        (tmp_path / "synapse.dump").write_bytes(dump.read_bytes())
        [problem] = inspect(target)["problems"]
        assert words in problem
    whole = old_database.dump(tmp_path / "other.dump").read_bytes()
    (tmp_path / "synapse.dump").write_bytes(whole[: len(whole) // 3])
    assert inspect(target)["problems"] or target.run("import", "begin")[0] == 1


def test_a_dump_cannot_do_more_than_the_role(
    target: Machine, old_database: OldDatabase, tmp_path: Path
) -> None:
    """What a stranger's dump runs while it is loaded, runs without any privilege."""
    old_database.execute(HOSTILE)
    old_database.dump(tmp_path / "synapse.dump")
    code, said = target.run("import", "begin")
    assert code == 1
    assert "permission denied for function pg_read_file" in said
    # Nothing of it is there, and another dump is taken.
    assert target.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0


def test_another_servers_dump(target: Machine, old_database: OldDatabase, tmp_path: Path) -> None:
    """It is known when it is loaded; the next dump takes its place."""
    sound = (tmp_path / "synapse.dump").read_bytes()
    old_database.execute("INSERT INTO users VALUES ('@a:other.test')")
    old_database.dump(tmp_path / "synapse.dump")
    target.succeed("import", "begin")
    code, said = target.run("import", "finish")
    assert code == 1
    assert f"the user @a:other.test, who is not of {NAME}" in said
    assert target.start_server()[0] == 1
    (tmp_path / "synapse.dump").write_bytes(sound)
    target.succeed("import", "begin")
    target.succeed("import", "finish")
    require_whole(target)
