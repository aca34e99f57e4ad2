"""What forbids a restore: one sentence, and nothing is changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest

from tests.helper.machines import Machine
from tests.helper.repositories import flip_byte, forge

pytestmark = pytest.mark.engine
_OTHER_KEY = "ed25519:a_OTHER " + "A" * 43


def refuse(machine: Machine) -> str:
    """Run a restore that has to be refused without a change and return its words."""
    machine.execute("true")
    before = machine.describe()
    code, said = machine.run("restore")
    assert code == 1, said
    assert machine.describe() == before
    return said


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": 99}, "made by a newer synapse-bundle"),
        ({"server_name": "example.com"}, "belongs to the server example.com"),
        ({"verify_key": _OTHER_KEY}, "made with another signing key, ed25519:a_OTHER"),
        ({"postgres_version": "99.1 (Debian)"}, "comes from PostgreSQL 99, and here is 17"),
        ({"dump_bytes": 10**15}, "needs 2.5 PB there"),
        ({"tables": "damaged"}, "the manifest of this set is damaged"),
    ],
)
def test_a_set_that_does_not_fit(
    target: Machine, changes: dict[str, object], sentence: str
) -> None:
    """A set is judged by its manifest first."""
    forge(target, **changes)
    assert sentence in refuse(target)


def test_a_wrong_password(target: Machine) -> None:
    """The password is not that of the repository."""
    (target.folder / "secrets" / "backup_password").write_text("another-password\n")
    assert "has another password than the one in secrets/backup_password" in refuse(target)


def test_no_repository(target: Machine) -> None:
    """Where the repository should be is an empty directory."""
    for path in target.repository.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "there is no repository at ./backups" in refuse(target)


def test_a_server_with_data(saved_machine: Machine) -> None:
    """A database with tables is never replaced."""
    said = refuse(saved_machine)
    assert f"the database {saved_machine.database} is not empty" in said
    assert "docker compose down --volumes" in said


def test_files_of_synapse(target: Machine) -> None:
    """Files without a database are not replaced either."""
    (target.media / "media_store").mkdir()
    (target.media / "media_store" / "file").write_text("ours")
    assert "the volume `media` is not empty: it holds /media/media_store/file" in refuse(target)


def test_a_running_synapse(target: Machine) -> None:
    """Some of Synapse's ids are counted in its memory."""
    password = (target.folder / "secrets" / "synapse_database_password").read_text().strip()
    with target.superuser() as superuser:
        superuser.execute(f"CREATE ROLE \"{target.database}\" LOGIN PASSWORD '{password}'")
        superuser.execute(f'CREATE DATABASE "{target.database}" OWNER "{target.database}"')
    with psycopg.connect(
        host=target.server.host,
        port=target.server.port,
        user=target.database,
        dbname=target.database,
        password=password,
    ):
        assert "Synapse is running" in refuse(target)


def test_another_restore(target: Machine) -> None:
    """Of two restores one waits a moment and gives up."""
    with target.superuser() as superuser:
        superuser.execute("SELECT pg_advisory_lock(%s)", (0x53594E4150534542,))
        assert "another bootstrap, move or restore" in refuse(target)


@pytest.mark.parametrize("part", ["data", "index", "snapshots", "keys", "config"])
def test_one_damaged_byte(target: Machine, part: str) -> None:
    """A byte that changed in any file of the repository is found before anything is."""
    place = target.repository / part
    for path in [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file()]:
        flip_byte(path)
    refuse(target)


def find_packs(repository: Path) -> list[Path]:
    """Return the files with data, largest first."""
    packs = [path for path in (repository / "data").rglob("*") if path.is_file()]
    return sorted(packs, key=lambda path: path.stat().st_size, reverse=True)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("damage", ["byte", "missing", "cut off"])
def test_a_damaged_pack(target: Machine, number: int, damage: str) -> None:
    """So is each single pack that lost a byte, its end, or everything."""
    pack = find_packs(target.repository)[number]
    if damage == "byte":
        flip_byte(pack)
    elif damage == "missing":
        pack.unlink()
    else:
        pack.chmod(0o600)
        pack.write_bytes(pack.read_bytes()[:-100])
    assert "If the repository is damaged, choose another set" in refuse(target)


def test_a_full_disk_for_files(target: Machine) -> None:
    """The files have to fit where they go."""
    machine = Machine(
        directory=target.directory,
        repository=target.repository,
        server=target.server,
        database=target.database,
        environ=target.environ | {"MEDIA_DIRECTORY": "/small"},
        options=("--tmpfs=/small:size=4k",),
    )
    try:
        assert "free, and the set" in refuse(machine)
    finally:
        machine.stop()
