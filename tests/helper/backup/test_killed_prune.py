"""A prune that is killed costs no set, whatever it was doing, and the next one completes it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest

from bundle_helper.backup.maintenance import maintain
from bundle_helper.backup.repository_errors import RepositoryError
from bundle_helper.backup.sets import choose_complete, read_name
from tests.helper.backup.test_creation import shadow
from tests.helper.backup.test_repository import store
from tests.helper.repositories import weaken_key
from tests.support.waiting import wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helper.backup.conftest import Place

pytestmark = pytest.mark.engine
LATER: Final = datetime.now(UTC) + timedelta(days=9)
_ATTEMPTS: Final = 20
_SHADOW: Final = """
case "$*" in *prune*)
    echo $$ >{folder}/new && mv {folder}/new {folder}/pid
    while [ ! -e {folder}/go ]; do sleep 0.01; done
    set -- --limit-upload 200 "$@" ;;
esac
exec "$real" "$@"
"""


@pytest.fixture
def pruned(folder: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Three sets with half of their files in common: two are due, and their packs hold what the third needs."""
    folder.environ["BACKUP_KEEP"] = "daily=1 weekly=0 monthly=0"
    folder.repository.init()
    password = (folder.root / "bundle/secrets/backup_password").read_text().strip()
    weaken_key(folder.root / "repository", password)
    media = folder.settings.media_directory / "media_store"
    for number in range(3):
        for file in range(6):
            (media / f"{file + 2 * number}").write_bytes(secrets.token_bytes(100_000))
        store(folder, f"echo {number}", f"{number}")
        folder.repository.backup_files((media,), ("set", f"set-{number}"))
        for file in range(2):
            (media / f"{file + 2 * number}").unlink()
    maintain(folder.repository, LATER - timedelta(days=8), folder.progress)
    # It begins when the test has seen it, and what it writes takes seconds, so that a kill can meet it.
    shadow(tmp_path, monkeypatch, "restic", _SHADOW.format(folder=tmp_path))
    for name in ("repository", "state"):
        shutil.copytree(folder.root / name, tmp_path / "before" / name)
    return folder


class Watched:
    """What of a repository tells how far a prune is."""

    def __init__(self, repository: Path, moment: str) -> None:
        self._packs = [path for path in (repository / "data").rglob("*") if path.is_file()]
        kind = {"locked": "locks", "repacking": "data", "writing the index": "index"}.get(moment)
        self._directories = [repository / kind, *(repository / kind).glob("??")] if kind else []
        self._before = self._read_times()

    def _read_times(self) -> list[int]:
        return [directory.stat().st_mtime_ns for directory in self._directories]

    def has_changed(self) -> bool:
        """Say whether something was written there, or else whether a pack is gone."""
        if self._directories:
            return self._read_times() != self._before
        return not all(path.exists() for path in self._packs)


def kill_prune(place: Place, moment: str) -> bool:
    """Let maintenance begin on what was there before, and kill restic; return whether it was in time."""
    for name in ("repository", "state"):
        shutil.rmtree(place.root / name)
        shutil.copytree(place.root / "before" / name, place.root / name)
    pid, go = place.root / "pid", place.root / "go"
    for path in (pid, go):
        path.unlink(missing_ok=True)
    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(maintain, place.repository, LATER, place.progress)
        wait_for(lambda: outcome.done() or pid.exists(), "restic is about to prune")
        watched, restic = Watched(place.root / "repository", moment), int(pid.read_text())
        go.touch()
        while not watched.has_changed() and not outcome.done():
            pass
        with suppress(ProcessLookupError):
            os.kill(restic, signal.SIGKILL)
        error = outcome.exception()
    assert error is None or isinstance(error, RepositoryError), error
    return error is not None and "-9" in error.message


@pytest.mark.parametrize("moment", ["locked", "repacking", "writing the index", "deleting"])
def test_a_kill_in_the_prune(pruned: Place, moment: str) -> None:
    """The set that stays is whole, and what the killed one left is gone after the next night."""
    assert any(kill_prune(pruned, moment) for _ in range(_ATTEMPTS)), "it was never in time"
    repository, state = pruned.repository, pruned.settings.state_directory / "maintenance.json"
    assert [read_name(one) for one in choose_complete(repository.snapshots())] == ["2"]
    before = json.loads(state.read_text())["pruned"]
    maintain(repository, LATER, pruned.progress)
    assert "old sets stay" not in pruned.said.getvalue()
    assert json.loads(state.read_text())["pruned"] > before
    repository.check("1/1")
    media, target = pruned.settings.media_directory / "media_store", pruned.root / "restored"
    (kept,) = choose_complete(repository.snapshots())
    repository.restore(f"{kept.id}:{media}", target)
    assert len([path for path in target.iterdir() if path.is_file()]) == 6
