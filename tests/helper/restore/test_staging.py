"""What a restore staged: deleted when it fails, and on the disk before the record says that all is whole."""

from __future__ import annotations

import ctypes
import io
import shutil
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

import pytest

from bundle_helper.backup.progress import Progress
from bundle_helper.backup.repository import Repository
from bundle_helper.backup.sets import BackupSet
from bundle_helper.database import convergence, instance
from bundle_helper.database.instance import InstanceRecord
from bundle_helper.errors import HelperError
from bundle_helper.restore import loading, media, restoration, staging
from bundle_helper.restore.restoration import Restoration
from bundle_helper.settings.backup_settings import BackupSettings
from tests.helper.backup.test_manifest import MANIFEST

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def run(folder_environ: dict[str, str]) -> Restoration:
    """Return a restore whose PostgreSQL takes every statement, and finds nothing."""
    settings = BackupSettings.from_environ(folder_environ)
    superuser = MagicMock()
    superuser.execute.return_value.fetchone.return_value = None
    return Restoration(
        settings=settings,
        repository=Repository(settings),
        superuser=superuser,
        chosen=BackupSet(manifest=MANIFEST, snapshot="", size=0),
        takeovers=(),
        record=InstanceRecord(id="0" * 32, epoch=2, restoring=MANIFEST.set),
        tell=Progress(io.StringIO()),
    )


def test_what_cannot_be_deleted_does_not_hide_why_it_failed(
    run: Restoration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that became read-only fails twice, and the first reason is the one to read."""

    def fail(_: Restoration) -> None:
        run.settings.staging_directory.mkdir()
        raise HelperError("the table events differs")

    def refuse(directory: Path) -> None:
        raise OSError(30, "Read-only file system", str(directory))

    monkeypatch.setattr(staging, "_fill", fail)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(HelperError, match="the table events differs"), staging.stage(run):
        pass


def test_files_are_on_the_disk_before_the_record_says_so(
    run: Restoration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut in between the restore is known to be interrupted; after it, files are whole."""
    run.settings.staging_directory.mkdir()
    (run.settings.staging_directory / "restored").touch()
    events: list[object] = []
    flush = media.flush

    def watch(directory: Path) -> None:
        flush(directory)
        events.append([path.name for path in directory.iterdir()])

    monkeypatch.setattr(media, "flush", watch)
    monkeypatch.setattr(
        instance, "write_record", lambda _, __, record: events.append(record.restoring)
    )
    for owner, name in (
        (restoration, "take_over"),
        (loading, "gather_statistics"),
        (restoration, "ensure_role"),
        (convergence, "revoke_public"),
        (convergence, "prove"),
        (instance, "write_folder"),
    ):
        monkeypatch.setattr(owner, name, MagicMock())
    restoration._take_place(run, run, MANIFEST.time)
    assert events == [MANIFEST.set, ["restored"], None]


def test_a_disk_that_does_not_take_the_files(
    run: Restoration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data that could not be written is told by the flush alone."""
    run.settings.staging_directory.mkdir()
    monkeypatch.setattr(ctypes, "get_errno", lambda: 5)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: MagicMock())
    with pytest.raises(HelperError, match="media cannot be restored: Input/output error"):
        media.take_place(run.settings)
