"""A set is whole or does not exist, whatever fails on the way."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from bundle_helper.backup import creation, database_dump, sets, table_hashes
from bundle_helper.backup.admission import BackupRunningError
from bundle_helper.backup.creation import make_set
from bundle_helper.backup.manifest import ONE_TIME_KEYS, parse_manifest
from bundle_helper.backup.ownership import TakenOverError, open_repository
from bundle_helper.backup.repository_errors import RepositoryError, UnreadableSourceError
from bundle_helper.errors import HelperError
from tests.helper.backup.waiting_dump import lock_awaited, read_processes, start_waiting
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from bundle_helper.backup.manifest import Kind, SetManifest
    from tests.helper.backup.conftest import Place

pytestmark = pytest.mark.engine


def make(place: Place, kind: Kind = "manual") -> SetManifest:
    """Open the repository and make a set."""
    repository = place.repository
    open_repository(repository)
    return make_set(place.settings, repository, kind, place.progress)


def test_whole(place: Place, on_path: Path, tmp_path: Path) -> None:
    """The dump of a set restores to the hashes in its manifest; media and folder are in it."""
    manifest = make(place)
    # What was just stored need not be fetched to be known; what is compared is what was stored.
    (kept,) = (place.settings.state_directory / "records").iterdir()
    assert kept.read_text() == manifest.to_json()
    kept.unlink()
    found = sets.find_set(place.repository, None)
    assert found.snapshot == kept.name
    assert found.manifest == manifest == parse_manifest(manifest.to_json())
    assert (manifest.product, manifest.server_name) == ("1.2.3", "example.org")
    assert (manifest.schema_version, manifest.compat_version) == (94, 84)
    assert (manifest.instance, manifest.epoch, manifest.one_time_keys) == (
        "0123456789abcdef" * 2,
        1,
        False,
    )
    assert manifest.sequences == {"events_stream_seq": 2000, "unused_seq": 1}
    assert manifest.tables["events"].rows == 2000
    assert set(manifest.tables) == {"Odd Name", "events", "schema_version", "schema_compat_version"}
    dump = tmp_path / "dump"
    with dump.open("wb") as file:
        place.repository.dump(manifest.dump_snapshot, f"/{sets.DUMP_FILE}", file.fileno())
    assert dump.stat().st_size == manifest.dump_bytes
    assert compare_restored(place, dump, manifest) == []
    target = tmp_path / "target"
    place.repository.restore(f"{found.snapshot}:{place.settings.media_directory}", target)
    assert [path.relative_to(target) for path in target.rglob("*") if path.is_file()] == [
        Path("media_store/local_content/aa/file")
    ]
    place.repository.restore(
        f"{found.snapshot}:{place.settings.bundle_directory}", target / "bundle"
    )
    restored = target / "bundle" / "secrets" / "postgres_password"
    assert restored.read_text() == (place.root / "bundle/secrets/postgres_password").read_text()


def compare_restored(place: Place, dump: Path, manifest: SetManifest) -> list[str]:
    """Restore a dump into a database of its own, and compare it with a manifest."""
    name = f"restored_{secrets.token_hex(4)}"
    database = place.settings.database
    with place.connect("postgres") as superuser:
        superuser.execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C'")
        try:
            subprocess.run(
                [
                    *("pg_restore", "--no-owner", "--exit-on-error", "--single-transaction"),
                    *("--host", database.database_host, "--port", str(database.database_port)),
                    *("--username", "postgres", "--dbname", name, str(dump)),
                ],
                env=database_dump.prepare_client(place.settings),
                check=True,
            )
            with place.connect(name) as restored:
                restored.execute("SET TimeZone = 'Asia/Tokyo'")
                assert restored.execute(
                    "SELECT count(*) FROM e2e_one_time_keys_json"
                ).fetchone() == (int(manifest.one_time_keys),)
                found = table_hashes.hash_tables(
                    restored, () if manifest.one_time_keys else (ONE_TIME_KEYS,)
                )
                return table_hashes.list_differences(manifest.tables, found)
        finally:
            superuser.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_final_has_one_time_keys(place: Place, tmp_path: Path) -> None:
    """The last set of a move is the newest state there is: nothing is left out of it."""
    manifest = make(place, "final")
    assert manifest.one_time_keys
    assert manifest.tables[ONE_TIME_KEYS].rows == 1
    dump = tmp_path / "dump"
    with dump.open("wb") as file:
        place.repository.dump(manifest.dump_snapshot, f"/{sets.DUMP_FILE}", file.fileno())
    assert compare_restored(place, dump, manifest) == []


def test_sequence_that_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Synapse takes from a sequence meanwhile may be in the dump, but is not asked of it."""

    def hash_and_take(
        connection: psycopg.Connection, skip: Collection[str]
    ) -> dict[str, table_hashes.TableHash]:
        found = table_hashes.hash_tables(connection, skip)
        with place.connect() as server:
            server.execute("SELECT nextval('events_stream_seq')")
        return found

    monkeypatch.setattr(creation, "hash_tables", hash_and_take)
    assert make(place).sequences["events_stream_seq"] == 2000
    with place.connect() as server:
        assert database_dump.read_sequences(server)["events_stream_seq"] == 2001


def test_dump_cut_off(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dump that was killed after it wrote something leaves no snapshot at all, and the next is whole."""
    shadow(
        tmp_path,
        monkeypatch,
        "pg_dump",
        'case $1 in --version) exec "$real" "$@" ;; esac; "$real" "$@" | head -c 20000; kill -9 $$',
    )
    with pytest.raises(HelperError, match=r"not dumped to its end, so no set was made.* -9"):
        make(place)
    assert place.repository.snapshots() == ()


def shadow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """Put a shell script before a program, which the script knows as `$real`."""
    directory = tmp_path / "shadows"
    directory.mkdir(exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\nreal={shutil.which(name)}\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


@pytest.mark.parametrize("locked", ["one of Synapse's tables", "what pg_dump alone locks"])
def test_table_that_is_being_changed(
    place: Place, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    """A change of a table that waits for the backup is let through, and the set begun again."""
    monkeypatch.setattr(database_dump, "LOCK_WAIT", 200)
    monkeypatch.setattr(creation, "_ATTEMPTS", 10_000)
    with place.connect() as changing, ThreadPoolExecutor(1) as pool:
        if locked == "one of Synapse's tables":
            changing.execute("BEGIN")
            changing.execute('LOCK TABLE "Odd Name" IN ACCESS EXCLUSIVE MODE')
        else:
            lock_awaited(changing)
        outcome = pool.submit(make, place)
        try:
            wait_for(
                lambda: outcome.done() or "changing its tables" in place.said.getvalue(),
                "the backup gives way",
            )
        finally:
            changing.execute("COMMIT")
        manifest = outcome.result()
    assert sets.find_set(place.repository, None).manifest == manifest


def test_deadlock_with_a_change_of_tables(place: Place) -> None:
    """Where PostgreSQL ends the backup's transaction so that a change can go on, the set is begun again."""
    waits = "SELECT 1 FROM pg_locks WHERE relation = 'schema_version'::regclass AND NOT granted"
    with (
        place.connect() as watching,
        place.connect() as changing,
        ThreadPoolExecutor(1) as pool,
    ):
        # Who waits and finds a deadlock is its victim: the change does not look for one.
        changing.execute("SET deadlock_timeout = '1h'")
        changing.execute("BEGIN")
        changing.execute("LOCK TABLE schema_version IN ACCESS EXCLUSIVE MODE")
        outcome = pool.submit(make, place)
        wait_for(lambda: outcome.done() or watching.execute(waits).fetchone(), "the backup waits")
        changing.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
        changing.execute("COMMIT")
        manifest = outcome.result()
    assert "changing its tables" in place.said.getvalue()
    assert sets.find_set(place.repository, None).manifest == manifest


def test_deadlock_of_the_dump(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where it is `pg_dump` whose transaction was ended."""
    met = tmp_path / "met"
    shadow(
        tmp_path,
        monkeypatch,
        "pg_dump",
        f'case $1 in --version) exec "$real" "$@" ;; esac; [ -e {met} ] && exec "$real" "$@"; touch {met};'
        " echo 'pg_dump: error: query failed: ERROR:  deadlock detected' >&2; exit 1",
    )
    manifest = make(place)
    assert "changing its tables" in place.said.getvalue()
    assert sets.find_set(place.repository, None).manifest == manifest


@pytest.mark.parametrize("victim", ["pg_dump", "restic", "backend"])
def test_killed_in_the_dump(place: Place, victim: str) -> None:
    """Whoever dies during the first snapshot, there is none, and the next set is whole."""
    with start_waiting(place, make) as waiting:
        if victim == "backend":
            waiting.locking.execute("SELECT pg_terminate_backend(%s)", (waiting.find_backend(),))
        else:
            waiting.find_process(victim).kill()
        with pytest.raises(HelperError) as caught:
            waiting.outcome.result()
    assert ("restic ended with -9" if victim == "restic" else "pg_dump: ") in caught.value.message
    assert place.repository.snapshots() == ()
    manifest = make(place)
    assert [found.manifest for found in sets.list_sets(place.repository)] == [manifest]


def test_a_query_that_fails(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although `pg_dump` succeeds there is no set, and the reason is a sentence."""

    def fail(*_: object) -> None:
        raise psycopg.errors.DiskFull("no space left on device")

    monkeypatch.setattr(creation, "hash_tables", fail)
    with pytest.raises(HelperError, match=r"read: no space left on device\. No set was made"):
        make(place)
    assert sets.list_sets(place.repository) == ()


def test_killed_between_the_snapshots(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dump without media and folder is not a set, and the next set is whole."""
    with monkeypatch.context() as patched:
        shadow(
            tmp_path,
            patched,
            "restic",
            'case "$*" in *--tag\\ set,*) kill -9 $$ ;; esac; exec "$real" "$@"',
        )
        with pytest.raises(RepositoryError, match="restic ended with -9"):
            make(place)
    [left] = place.repository.snapshots()
    assert sets.DUMP in left.tags
    assert sets.list_sets(place.repository) == ()
    with pytest.raises(HelperError, match=r"no complete set at \./backups"):
        sets.find_set(place.repository, None)
    manifest = make(place)
    assert [found.manifest for found in sets.list_sets(place.repository)] == [manifest]


def test_no_secret_shows(place: Place) -> None:
    """No process has a secret in its arguments or its environment, and none is said."""
    values = [path.read_text().strip() for path in (place.root / "bundle/secrets").iterdir()]
    with start_waiting(place, make) as waiting:
        seen = read_processes()
        waiting.release()
    assert "RESTIC_PASSWORD_FILE" in seen
    assert "PGPASSFILE" in seen
    assert not [value for value in values if value in seen + place.said.getvalue()]


def test_two_at_once(place: Place) -> None:
    """The second says that the first is running, and the first is not disturbed."""
    with start_waiting(place, make) as waiting:
        with pytest.raises(BackupRunningError, match="another backup of this server is running"):
            make(place)
        manifest = waiting.release()
    assert [found.manifest for found in sets.list_sets(place.repository)] == [manifest]


def test_taken_over(place: Place) -> None:
    """Once another machine has restored a set, the old one stores nothing; with its own epoch it may."""
    manifest = make(place)
    sets.record_takeover(place.repository, manifest, "f" * 32, 2)
    before = place.repository.snapshots()
    assert [
        (one.set, one.instance, one.epoch) for one in sets.read_takeovers(place.repository, before)
    ] == [(manifest.set, "f" * 32, 2)]
    with pytest.raises(TakenOverError, match="another machine took over this server"):
        make(place)
    assert place.repository.snapshots() == before
    with place.connect("postgres") as superuser:
        superuser.execute(
            "ALTER TABLE synapse_bundle_instance ADD COLUMN IF NOT EXISTS epoch bigint NOT NULL DEFAULT 1"
        )
        superuser.execute(
            "UPDATE synapse_bundle_instance SET epoch = 2 WHERE database = %s",
            (place.settings.database.database_name,),
        )
    assert make(place).epoch == 2


def test_set_of_a_successor(place: Place) -> None:
    """A set that another instance made with a higher epoch says the same as the record of its restore."""
    with place.connect("postgres") as superuser:
        superuser.execute(
            "ALTER TABLE synapse_bundle_instance ADD COLUMN IF NOT EXISTS epoch bigint NOT NULL DEFAULT 1"
        )
        name = place.settings.database.database_name
        update = "UPDATE synapse_bundle_instance SET id = %s, epoch = %s WHERE database = %s"
        superuser.execute(update, ("f" * 32, 3, name))
        make(place)
        superuser.execute(update, ("e" * 32, 2, name))
        with pytest.raises(TakenOverError):
            make(place)


@pytest.mark.parametrize(
    ("column", "kind", "sentence"),
    [
        ("moved", "manual", "move --undo"),
        ("moved", "final", None),
        ("restoring", "final", "a restore was interrupted"),
    ],
)
def test_not_here(place: Place, column: str, kind: Kind, sentence: str | None) -> None:
    """A server that has moved, or is half restored, makes no set; the last one of a move it does."""
    content = '{"time": "2026-11-27T03:30:00+00:00", "set": ""}' if column == "moved" else "name"
    with place.connect("postgres") as superuser:
        superuser.execute(
            f"ALTER TABLE synapse_bundle_instance ADD COLUMN IF NOT EXISTS {column} text"
        )
        superuser.execute(
            f"UPDATE synapse_bundle_instance SET {column} = %s WHERE database = %s",  # noqa: S608
            (content, place.settings.database.database_name),
        )
    if sentence is None:
        assert make(place, kind).kind == "final"
    else:
        with pytest.raises(HelperError, match=sentence):
            make(place, kind)


def test_before_the_first_start(place: Place) -> None:
    """Without a record of the instance, or without Synapse's tables, there is nothing to back up."""
    name = place.settings.database.database_name
    with place.connect() as database:
        database.execute("DROP TABLE schema_version")
    with pytest.raises(HelperError, match="Synapse has not made its tables"):
        make(place)
    with place.connect("postgres") as superuser:
        superuser.execute("DELETE FROM synapse_bundle_instance WHERE database = %s", (name,))
    with pytest.raises(HelperError, match="has not been started yet"):
        make(place)
    assert place.repository.snapshots() == ()


def test_other_version(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `pg_dump` that is not the server's own is refused, with the command that brings it up to date."""
    shadow(tmp_path, monkeypatch, "pg_dump", "echo 'pg_dump (PostgreSQL) 16.1 (Debian 16.1-1)'")
    with pytest.raises(HelperError, match="docker compose build --pull backup"):
        make(place)


def test_deleted_while_read(place: Place, tmp_path: Path) -> None:
    """What was deleted while restic read is not missing in the set."""
    manifest = make(place)
    gone = UnreadableSourceError({str(tmp_path / "gone"): "no such file"}, "snapshot")
    creation._judge_unreadable(place.repository, manifest, gone)
    assert len(sets.list_sets(place.repository)) == 1
    with pytest.raises(HelperError, match="chmod a"):
        creation._judge_unreadable(
            place.repository,
            manifest,
            UnreadableSourceError({str(place.root / "bundle"): "no"}, "s"),
        )
    assert sets.list_sets(place.repository) == ()
