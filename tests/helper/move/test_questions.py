"""What a move asks of the repository: as little as it needs, because each answer takes restic half a second."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bundle_helper.backup.progress import Progress
from bundle_helper.backup.repository import Repository
from bundle_helper.database.instance import InstanceRecord
from bundle_helper.errors import HelperError
from bundle_helper.move import departure, homecoming
from bundle_helper.settings.backup_settings import BackupSettings
from tests.helper.backup.test_manifest import MANIFEST
from tests.helper.restic_double import ResticDouble

if TYPE_CHECKING:
    from pathlib import Path

    from bundle_helper.backup.manifest import SetManifest

NOW = MANIFEST.time
RECORD = InstanceRecord(id=MANIFEST.instance, epoch=MANIFEST.epoch)


@pytest.fixture
def restic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ResticDouble:
    """Let a double answer for restic."""
    return ResticDouble.install(tmp_path, monkeypatch)


@pytest.fixture
def repository(restic: ResticDouble, folder_environ: dict[str, str]) -> Repository:
    """Return the repository that the double answers for."""
    return Repository(BackupSettings.from_environ(folder_environ))


def list_snapshots(name: str, *tags: str) -> list[dict[str, Any]]:
    """Return what restic lists of one set or record."""
    return [
        {"id": f"{name}-{tag}", "time": NOW.isoformat(), "paths": [], "tags": [tag, f"set-{name}"]}
        for tag in tags
    ]


def hold_sets(restic: ResticDouble, *manifests: SetManifest) -> list[dict[str, Any]]:
    """Let the repository hold complete sets, newest first; return what restic lists."""
    listed = []
    for manifest in manifests:
        listed += list_snapshots(manifest.set, "set", "dump")
        restic.answer(f"{manifest.set}-set", json.loads(manifest.to_json()))
    restic.answer("snapshots", listed)
    return listed


@pytest.mark.parametrize("days", [0, 1])
def test_the_newest_set_of_this_data_says_how_old_it_is(
    restic: ResticDouble, repository: Repository, days: int
) -> None:
    """Older ones are not read, nor is one of other data taken for it."""
    theirs = replace(MANIFEST, set="theirs", instance="f" * 32)
    ours = replace(MANIFEST, set="ours", time=NOW - timedelta(days=days))
    hold_sets(restic, theirs, ours, replace(MANIFEST, set="older"))
    said = io.StringIO()
    assert departure._find_recent(repository, RECORD, NOW, Progress(said)) is (days == 0)
    assert ("the set ours is less than a day old" in said.getvalue()) is (days == 0)
    read = [call.split()[2] for call in restic.list_calls("dump")]
    assert read == ["theirs-set", "ours-set"]


def test_the_way_back_lists_the_repository_before_and_after(
    restic: ResticDouble, repository: Repository
) -> None:
    """Takeovers and the final set are read from one list, what came meanwhile from another."""
    listed = hold_sets(restic, replace(MANIFEST, set="last", kind="final"))
    restic.answer("listed-next", list_snapshots("last", "void") + listed)
    assert homecoming._settle(repository, RECORD, print, override=False) == RECORD.epoch
    assert len(restic.list_calls("snapshots")) == 2
    assert len(restic.list_calls("backup")) == 1


@pytest.mark.parametrize("override", [False, True])
def test_a_takeover_beside_the_revocation_is_seen(
    restic: ResticDouble, repository: Repository, *, override: bool
) -> None:
    """Whoever restored the final set in that moment is the server, or is overtaken."""
    listed = hold_sets(restic, replace(MANIFEST, set="last", kind="final"))
    restic.answer("listed-next", list_snapshots("last", "takeover", "void") + listed)
    taken = {"set": "last", "instance": "f" * 32, "epoch": 2, "time": NOW.isoformat()}
    restic.answer("last-takeover", taken)
    if override:
        assert homecoming._settle(repository, RECORD, print, override=True) == 3
    else:
        with pytest.raises(HelperError, match="was restored on 2026-11-27 03:30 UTC by another"):
            homecoming._settle(repository, RECORD, print, override=False)
