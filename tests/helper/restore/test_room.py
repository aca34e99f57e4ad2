"""Room for the files of a set is looked for before anything changes, whichever restic made the set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup.repository import Repository
from bundle_helper.backup.sets import find_set
from bundle_helper.errors import HelperError
from bundle_helper.restore import checks
from bundle_helper.settings.backup_settings import BackupSettings
from tests.helper.backup.test_manifest import MANIFEST
from tests.helper.restic_double import ResticDouble

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("noted", "asked"), [({}, 1), ({"summary": {"total_bytes_processed": 10**18}}, 0)]
)
def test_no_room_for_the_files(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder_environ: dict[str, str],
    noted: dict[str, object],
    asked: int,
) -> None:
    """Their size is asked for only where restic noted none with the snapshot, and where files come."""
    restic = ResticDouble.install(tmp_path, monkeypatch)
    repository = Repository(BackupSettings.from_environ(folder_environ))
    both = {"time": MANIFEST.time.isoformat(), "paths": []}
    kinds = [{"id": tag, "tags": [tag, f"set-{MANIFEST.set}"]} for tag in ("set", "dump")]
    restic.answer("snapshots", [both | kind | noted for kind in kinds])
    (tmp_path / "set.json").write_text(MANIFEST.to_json())
    restic.answer("stats", {"total_size": 10**18})
    chosen = find_set(repository, None)
    checks.require_room(repository, chosen, checks.Remains(), files=False)
    assert restic.list_calls("stats") == []
    with pytest.raises(HelperError, match=r"needs 1000\.0 PB there\. Nothing was changed"):
        checks.require_room(repository, chosen, checks.Remains())
    assert len(restic.list_calls("stats")) == asked
