"""What restic refuses, said so that a person can act; a full target costs no old set."""

from __future__ import annotations

import os
import secrets
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup import sets
from bundle_helper.backup.creation import make_set
from bundle_helper.backup.maintenance import maintain
from bundle_helper.backup.ownership import open_repository
from bundle_helper.backup.repository_errors import (
    RepositoryError,
    RepositoryLockedError,
    RepositoryMissingError,
    WrongPasswordError,
)
from bundle_helper.backup.restic import Producer, ProducerError
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.helper.backup.conftest import Place

pytestmark = pytest.mark.engine
MEGABYTE = 1024 * 1024


def store(folder: Place, script: str, name: str = "name") -> None:
    """Store what a shell script prints."""
    producer = Producer(("sh", "-c", script), {"PATH": os.environ["PATH"]})
    folder.repository.backup_stream(producer, "file", ("dump", f"set-{name}"))


def test_refusals(folder: Place) -> None:
    """No repository, a wrong password and a lock are three different sentences."""
    with pytest.raises(RepositoryMissingError) as missing:
        folder.repository.snapshots()
    folder.repository.init()
    store(folder, "echo something")
    with in_use(folder), pytest.raises(RepositoryLockedError) as refused:
        folder.repository.check()
    (folder.root / "bundle/secrets/backup_password").write_text("another password\n")
    with pytest.raises(WrongPasswordError) as wrong:
        folder.repository.snapshots()
    said = [caught.value.message for caught in (missing, refused, wrong)]
    assert len(set(said)) == 3
    assert all("./backups" in sentence for sentence in said)


@contextmanager
def in_use(folder: Place) -> Iterator[None]:
    """Let another backup use the repository, in the middle of its stream."""
    held = folder.root / "held"
    os.mkfifo(held)
    with ThreadPoolExecutor(1) as pool:
        storing = pool.submit(store, folder, f"cat {held}", "other")
        # This waits until the program reads, which starts after restic.
        with held.open("w") as writing:
            locks = folder.root / "repository/locks"
            wait_for(lambda: storing.done() or any(locks.iterdir()), "restic has its lock")
            yield
            writing.write("enough\n")
        storing.result()


@pytest.mark.parametrize(
    ("script", "code"), [("seq 100000; exit 3", 3), ("seq 100000; kill -9 $$", -9), ("exit 1", 1)]
)
def test_stream_that_fails(folder: Place, script: str, code: int) -> None:
    """Whatever a program wrote before it failed, nothing is stored; what succeeds is stored whole."""
    folder.repository.init()
    with pytest.raises(ProducerError, match=f"it ended with {code}: "):
        store(folder, script)
    assert folder.repository.snapshots() == ()
    store(folder, "seq 100000")
    [snapshot] = folder.repository.snapshots()
    assert folder.repository.read(snapshot.id, "/file").splitlines()[-1] == "100000"


@pytest.fixture
def small_target(place: Place) -> Iterator[Path]:
    """Put the repository on a file system of its own with room for 20 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    target = place.root / "repository"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", target], check=True)


@pytest.mark.parametrize("room", [0, 4096, 65536, MEGABYTE, 4 * MEGABYTE])
def test_full_target(place: Place, small_target: Path, room: int) -> None:
    """A target that fills up at any point ends the backup, and what it holds stays whole."""
    open_repository(place.repository)
    manifest = make_set(place.settings, place.repository, "manual", place.progress)
    with place.connect() as database:
        database.execute(
            "INSERT INTO events SELECT n, md5(random()::text) || md5(random()::text)"
            " FROM generate_series(10000, 20000) AS n"
        )
    (place.root / "media/media_store/local_content/aa/large").write_bytes(
        secrets.token_bytes(8 * MEGABYTE)
    )
    filler = small_target / "filler"
    free = os.statvfs(small_target).f_bavail * os.statvfs(small_target).f_frsize
    filler.write_bytes(bytes(free - room))
    with pytest.raises(RepositoryError, match="has free space"):
        make_set(place.settings, place.repository, "manual", place.progress)
    filler.unlink()
    assert [found.manifest for found in sets.list_sets(place.repository)] == [manifest]
    place.repository.unlock()
    place.repository.check("1/1")


def test_append_only(place: Place) -> None:
    """Where others look after the repository, nothing is deleted here."""
    place.environ.update({"BACKUP_APPEND_ONLY": "yes", "BACKUP_KEEP": "daily=1 weekly=0 monthly=0"})
    open_repository(place.repository)
    made = [make_set(place.settings, place.repository, "manual", place.progress) for _ in range(2)]
    maintain(place.repository, made[1].time + timedelta(days=3), place.progress)
    assert len(sets.list_sets(place.repository)) == 2
    place.environ["BACKUP_APPEND_ONLY"] = "no"
    maintain(place.repository, made[1].time + timedelta(days=3), place.progress)
    assert [found.manifest for found in sets.list_sets(place.repository)] == [made[1]]
    assert len(place.repository.snapshots()) == 2


def test_damage_is_found(place: Place) -> None:
    """A byte that has flipped is found within one cycle, by the part whose turn it is."""
    place.environ.update({"BACKUP_VERIFY": "1"})
    open_repository(place.repository)
    manifest = make_set(place.settings, place.repository, "manual", place.progress)
    pack = max((place.root / "repository/data").rglob("*"), key=lambda path: path.stat().st_size)
    content = bytearray(pack.read_bytes())
    content[100] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(content)
    with pytest.raises(RepositoryError, match=r"the repository at \./backups is damaged"):
        maintain(place.repository, manifest.time, place.progress)


def test_maintenance_waits_for_a_lock(folder: Place) -> None:
    """A repository in use is left alone until the next set, which is no failure."""
    folder.repository.init()
    store(folder, "echo something")
    [snapshot] = folder.repository.snapshots()
    with in_use(folder):
        maintain(folder.repository, snapshot.time, folder.progress)
    assert "old sets stay, and nothing is checked" in folder.said.getvalue()
