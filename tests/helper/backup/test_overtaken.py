"""A set in the making is none when another copy or machine has become the server meanwhile."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bundle_helper.backup import creation, sets
from bundle_helper.backup.ownership import TakenOverError
from bundle_helper.claim.memory import MEMORY, ClaimMemory
from bundle_helper.claim.rules import Standing
from bundle_helper.database.overtaking import OvertakenError
from tests.helper.backup.conftest import INSTANCE
from tests.helper.backup.test_creation import make, shadow
from tests.helper.backup.waiting_dump import start_waiting
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.helper.backup.conftest import Place

pytestmark = pytest.mark.engine


@pytest.fixture
def claim(place: Place, tmp_path: Path) -> Path:
    """Let this copy hold the claim; beside its memory is the one of a copy that has given way."""
    directory = tmp_path / "claim"
    for name, standing in (("claim", Standing.HELD), ("down", Standing.DOWN)):
        (tmp_path / name).mkdir()
        instance = hashlib.sha256(INSTANCE.encode()).hexdigest()
        ClaimMemory(instance=instance, epoch=1, standing=standing).save(tmp_path / name)
    place.environ["CLAIM_DIRECTORY"] = str(directory)
    return directory


def test_overtaken_in_the_dump(place: Place, claim: Path) -> None:
    """It ends with its reason, long before the dump would; nothing is stored."""
    with start_waiting(place, make) as waiting:
        (claim.with_name("down") / MEMORY).rename(claim / MEMORY)
        with pytest.raises(
            OvertakenError, match=r"docker compose exec helper claim take example\.org"
        ):
            waiting.outcome.result(PATIENCE)
    assert place.repository.snapshots() == ()


@pytest.mark.parametrize(
    "rest",
    [
        # Media that take hours.
        'for _ in $(seq 300); do echo \'{"message_type": "status"}\'; sleep 0.1; done; exit 1',
        'exec "$real" "$@"',
    ],
    ids=["long before the end", "at the end"],
)
def test_overtaken_among_the_files(
    place: Place, claim: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: str
) -> None:
    """Whether restic was ended or has completed the set: it does not count, and the older one does."""
    before = make(place)
    down = claim.with_name("down") / MEMORY
    give_way = f'case "$*" in *--tag\\ set,*) mv {down} {claim}; {rest} ;; esac; exec "$real" "$@"'
    shadow(tmp_path, monkeypatch, "restic", give_way)
    with pytest.raises(OvertakenError, match="another copy of this server has claimed its name"):
        make(place)
    assert [found.manifest for found in sets.list_sets(place.repository)] == [before]


def test_taken_over_meanwhile(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine restores the last set while the next one is made, which would be newer."""
    before = make(place)
    store = creation._store_files

    def store_and_lose(*arguments: Any) -> None:
        store(*arguments)
        sets.record_takeover(place.repository, before, "f" * 32, 2)

    monkeypatch.setattr(creation, "_store_files", store_and_lose)
    with pytest.raises(TakenOverError, match=r"another machine took over .* does not count"):
        make(place)
    assert [found.manifest for found in sets.list_sets(place.repository)] == [before]
