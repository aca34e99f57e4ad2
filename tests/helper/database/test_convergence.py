"""Role and database converge on a real PostgreSQL, from whatever state they are found in."""

from __future__ import annotations

import re
import secrets
import subprocess
import time
from pathlib import Path

import psycopg
import pytest

from bundle_helper.database import connection, convergence
from bundle_helper.database.catalog import LEAST_PRIVILEGED, read_role, wanted_database
from bundle_helper.errors import HelperError
from tests.helper.database.place import KILLED, MAIN, Place

pytestmark = pytest.mark.engine


def test_the_first_run_makes_and_proves_what_synapse_needs(place: Place) -> None:
    """After one run the report holds the proof, and the role can make tables."""
    code, said = place.run()
    assert (code, "created the role" in said, "created the database" in said) == (0, True, True)
    proof = convergence.prove(place.settings)
    assert proof.privileges == LEAST_PRIVILEGED
    assert proof.properties == wanted_database(place.name)
    assert place.report()["problem"] is None
    settings = place.settings
    with connection.connect(
        settings, settings.database_role, settings.role_password, settings.database_name
    ) as role:
        role.execute("CREATE TABLE events (id bigint)")


def test_a_second_run_changes_nothing(place: Place) -> None:
    """On every start of the bundle the bootstrap runs again, and only proves."""
    place.run()
    before = len(place.server.log().splitlines())
    code, said = place.run()
    assert code == 0
    assert said.splitlines()[:-1] == []
    assert said.startswith("proved: ")
    logged = "\n".join(place.server.log().splitlines()[before:])
    assert "ALTER ROLE" not in logged
    assert "CREATE" not in logged


def test_five_first_runs_at_once_converge(place: Place) -> None:
    """However many start together, one creates and all succeed."""
    processes = [place.start() for _ in range(5)]
    outcomes = []
    for process in processes:
        said, _ = process.communicate(timeout=60)
        outcomes.append((process.returncode, said))
    assert [code for code, _ in outcomes] == [0] * 5, outcomes
    assert sum("created the role" in said for _, said in outcomes) == 1
    assert sum("created the database" in said for _, said in outcomes) == 1


def test_strangers_are_shut_out(place: Place) -> None:
    """No role but the owner may connect to the database, and none to the maintenance ones."""
    place.run()
    with place.superuser() as superuser:
        for name in (place.name, "postgres", "template1"):
            row = superuser.execute(
                "SELECT bool_or(grantee = 0) FROM pg_database,"
                " aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE datname = %s",
                (name,),
            ).fetchone()
            assert row == (False,), name


def test_a_rotated_password_replaces_the_old_one(place: Place) -> None:
    """The new password works, the old one no longer does, and the log holds neither."""
    old, new = place.settings.role_password.reveal(), secrets.token_hex(16)
    place.run()
    Path(place.environ["ROLE_PASSWORD_FILE"]).write_text(new + "\n")
    code, said = place.run()
    assert code == 0
    assert "gave the role" in said
    place.log_in(new)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        place.log_in(old)
    logged = place.server.log()
    assert f'ALTER ROLE "{place.name}"' in logged
    assert old not in logged
    assert new not in logged


@pytest.mark.parametrize(
    "flags",
    [
        "SUPERUSER",
        "CREATEDB CREATEROLE",
        "REPLICATION BYPASSRLS",
        "NOLOGIN",
        "CONNECTION LIMIT 1",
        "VALID UNTIL '2001-01-01'",
    ],
)
def test_surplus_or_missing_privileges_are_repaired(place: Place, flags: str) -> None:
    """Whatever the role was allowed or denied, it ends with the least that Synapse needs."""
    place.run()
    with place.superuser() as superuser:
        superuser.execute(f'ALTER ROLE "{place.name}" {flags}')
        code, said = place.run()
        assert code == 0, said
        assert read_role(superuser, place.name) == LEAST_PRIVILEGED


def test_memberships_are_taken_and_members_are_reported(place: Place) -> None:
    """The role is in no other, whoever granted that; its members are reported, and left alone."""
    place.run()
    name, other = place.name, f"{place.name}_other"
    with place.superuser() as superuser:
        superuser.execute(f'CREATE ROLE "{other}"')
        try:
            superuser.execute(f'GRANT pg_monitor TO "{other}" WITH ADMIN OPTION')
            superuser.execute(f'GRANT pg_monitor TO "{name}" GRANTED BY "{other}"')
            superuser.execute(f'GRANT pg_read_server_files TO "{name}" WITH ADMIN OPTION')
            superuser.execute(f'GRANT "{name}" TO "{other}"')
            code, said = place.run()
            assert code == 0, said
            assert "revoked the membership in pg_monitor" in said
            assert "revoked the membership in pg_read_server_files" in said
            assert f"REVOKE {name} FROM {other}" in said
            proof = convergence.prove(place.settings)
            assert (proof.memberships, proof.members) == ((), (other,))
            code, said = place.run()
            assert (code, "took" in said) == (0, False)
        finally:
            superuser.execute(f'DROP ROLE "{other}"')


@pytest.mark.parametrize(
    ("creation", "difference"),
    [
        ("ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C'", "collation is C.UTF-8"),
        ("ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'", "ctype is C.UTF-8"),
        ("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'", "encoding is SQL_ASCII"),
        (
            "ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en' LC_COLLATE 'C' LC_CTYPE 'C'",
            "provider is icu",
        ),
    ],
)
def test_a_database_of_another_locale_is_refused_and_kept(
    place: Place, creation: str, difference: str
) -> None:
    """Synapse cannot use it: the message says why and what to do, and nothing is lost."""
    with place.superuser() as superuser:
        superuser.execute(f'CREATE ROLE "{place.name}"')
        superuser.execute(
            f'CREATE DATABASE "{place.name}" OWNER "{place.name}" TEMPLATE template0 {creation}'
        )
    with place.superuser(place.name) as inside:
        inside.execute("CREATE TABLE precious AS SELECT 42 AS answer")
    code, said = place.run()
    assert code == 1
    assert difference in said
    assert "RENAME TO" in said
    assert difference in str(place.report()["problem"])
    with place.superuser(place.name) as inside:
        assert inside.execute("SELECT answer FROM precious").fetchone() == (42,)


def test_a_database_of_another_owner_is_refused_and_kept(place: Place) -> None:
    """It may belong to something else: it is left alone, with instructions."""
    with place.superuser() as superuser:
        superuser.execute(
            f"CREATE DATABASE \"{place.name}\" TEMPLATE template0 ENCODING 'UTF8'"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    code, said = place.run()
    assert code == 1
    assert f"owner is postgres and must be {place.name}" in said
    assert "OWNER TO" in said


def test_a_wrong_superuser_password_fails_fast_and_clearly(place: Place) -> None:
    """No waiting, no retrying: the file is named, and how to put it right."""
    Path(place.environ["SUPERUSER_PASSWORD_FILE"]).write_text("something-else\n")
    started = time.monotonic()
    code, said = place.run()
    assert code == 1
    assert time.monotonic() - started < 10
    assert "secrets/postgres_password" in said
    assert "something-else" not in said


def test_a_server_that_does_not_come_is_given_up_with_its_address(place: Place) -> None:
    """After its patience is over the message names host, port and reason."""
    place.environ.update(DATABASE_PORT="1", DATABASE_PATIENCE="1")
    with pytest.raises(HelperError, match=r"127\.0\.0\.1:1 did not answer within 1 s"):
        connection.connect_as_superuser(place.settings)


def test_a_server_that_starts_late_is_waited_for(place: Place) -> None:
    """A server that is still starting, as after a power cut, costs patience and nothing else."""
    # Paused, because a restart would publish it on another port.
    pause, resume = (["docker", verb, place.server.container] for verb in ("pause", "unpause"))
    subprocess.run(pause, check=True, capture_output=True)
    try:
        process = place.start()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=2)
    finally:
        subprocess.run(resume, check=True, capture_output=True)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said


def test_a_kill_after_any_statement_is_healed_by_the_next_run(place: Place) -> None:
    """Wherever the bootstrap was cut off, the next one finishes its work."""
    statement = 0
    while True:
        statement += 1
        with place.start(code=KILLED + MAIN, arguments=(str(statement),)) as process:
            said, _ = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -9, said
        code, said = place.run()
        assert code == 0, said
        with place.superuser() as superuser:
            superuser.execute(f'DROP DATABASE "{place.name}" WITH (FORCE)')
            superuser.execute(f'DROP ROLE "{place.name}"')
    assert statement > 8


def test_folder_and_data_know_each_other(place: Place) -> None:
    """The first start gives both one id, which every later start finds."""
    place.run()
    chosen = place.instance.read_text()
    assert re.fullmatch(r"[0-9a-f]{32}\n", chosen)
    assert place.run()[0] == 0
    assert place.instance.read_text() == chosen


def test_a_folder_without_its_data_is_refused(place: Place) -> None:
    """A copied folder beside empty volumes starts nothing, and the message names both ways to continue."""
    place.run()
    before = place.instance.read_text()
    place.drop()
    code, said = place.run()
    assert code == 1
    assert "the volumes here are empty" in said
    assert "docker compose run --rm bootstrap start-empty example.org" in said
    assert place.instance.read_text() == before
    with place.superuser() as superuser:
        assert read_role(superuser, place.name) is None


def test_an_empty_server_must_be_typed_by_its_name(place: Place) -> None:
    """Who gives up the data for good types the server name; the new server has another id."""
    place.run()
    before = place.instance.read_text()
    place.drop()
    code, said = place.run("start-empty", "example.com")
    assert (code, place.instance.read_text()) == (2, before), said
    code, said = place.run("start-empty", "example.org")
    assert code == 0, said
    assert "claim" not in said
    assert place.instance.read_text() != before
    assert place.run()[0] == 0


def test_an_empty_server_is_told_how_to_take_its_name(place: Place, tmp_path: Path) -> None:
    """Where names are claimed the former server's record still stands; only who starts empty is told."""
    (tmp_path / "claim").mkdir()
    place.environ["CLAIM_DIRECTORY"] = str(tmp_path / "claim")
    command = "docker compose exec helper claim take example.org"
    assert command not in place.run()[1]
    place.drop()
    code, said = place.run("start-empty", "example.org")
    assert (code, command in said) == (0, True)
    assert command not in place.run()[1]


def test_data_is_never_given_up(place: Place) -> None:
    """Starting empty beside data that is there changes nothing."""
    place.run()
    place.fill()
    before = place.instance.read_text()
    code, _ = place.run("start-empty", "example.org")
    assert (code, place.instance.read_text()) == (0, before)
    with place.superuser(place.name) as superuser:
        assert superuser.execute("SELECT count(*) FROM events").fetchone() == (0,)


def test_the_data_of_another_server_is_refused(place: Place) -> None:
    """A folder that belongs to other data does not touch this."""
    place.run()
    place.instance.write_text("0123456789abcdef" * 2 + "\n")
    for command in ((), ("start-empty", "example.org")):
        code, said = place.run(*command)
        assert (code, "another server" in said) == (1, True)
    assert place.instance.read_text() == "0123456789abcdef" * 2 + "\n"


def test_what_is_older_than_the_id_is_adopted(place: Place) -> None:
    """Neither a folder nor data from before there were ids is refused; nor is a restored dump."""
    place.run()
    place.fill()
    chosen = place.instance.read_text()
    place.instance.write_text("\n")
    assert place.run()[0] == 0
    assert place.instance.read_text() == chosen
    with place.superuser() as superuser:
        place.forget(superuser)
    assert place.run()[0] == 0
    assert place.instance.read_text() == chosen
    with place.superuser() as superuser:
        place.forget(superuser)
    place.instance.write_text("\n")
    assert place.run()[0] == 0
    assert re.fullmatch(r"[0-9a-f]{32}\n", place.instance.read_text())


def test_a_damaged_id_is_named(place: Place) -> None:
    """Half an id is not an id."""
    place.instance.write_text("0123\n")
    code, said = place.run()
    assert (code, "secrets/instance must hold 32 hexadecimal digits" in said) == (1, True)
