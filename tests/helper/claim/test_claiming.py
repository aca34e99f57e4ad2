"""One copy's rounds against a record that others write too, and each row of the table of failures."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle_helper.claim.claim_record import ClaimRecord, UnreadableError
from bundle_helper.claim.claiming import WAIT_SECONDS, Outcome
from bundle_helper.claim.memory import MEMORY, ClaimMemory, recall
from bundle_helper.claim.rules import Standing
from bundle_helper.errors import HelperError
from tests.helper.claim.register import INSTANCE, OTHER, Zone, claim


def run(zone: Zone, directory: Path, session: str | None = None, epoch: int = 1) -> Outcome:
    """Do one round of the copy that remembers in `directory`."""
    return claim(zone, directory).run_round(recall(directory, INSTANCE, epoch), session)


@pytest.fixture
def zone() -> Zone:
    """A name that nobody has claimed."""
    return Zone()


@pytest.fixture
def holder(zone: Zone, tmp_path: Path) -> Outcome:
    """A copy that holds the claim."""
    return run(zone, tmp_path)


def test_the_first_start_takes_the_name_after_a_wait(zone: Zone, tmp_path: Path) -> None:
    """Nobody has it: written, waited, read again; what goes to DNS was remembered before."""
    remembered: list[ClaimMemory] = []
    zone.meanwhile = lambda _: remembered.append(recall(tmp_path, INSTANCE, 1))
    outcome = run(zone, tmp_path)
    assert outcome.held
    assert zone.now == WAIT_SECONDS
    (record,) = zone.records.values()
    assert record == ClaimRecord(1, str(outcome.session), INSTANCE)
    assert remembered[0].written == (outcome.session,)
    assert remembered[0].standing is Standing.NEW
    assert recall(tmp_path, INSTANCE, 1) == outcome.memory


def test_an_ordinary_restart_waits_for_nothing(zone: Zone, holder: Outcome, tmp_path: Path) -> None:
    """It serves before it writes its new session, and others then see that one."""
    told: list[Outcome] = []
    served_at: list[float] = []
    begun = zone.now
    copy = claim(zone, tmp_path, told)
    zone.meanwhile = lambda _: served_at.append(zone.now - WAIT_SECONDS - begun)
    outcome = copy.run_round(recall(tmp_path, INSTANCE, 1), None)
    assert told[0].held
    assert served_at == [0]
    assert outcome.session != holder.session
    assert [record.session for record in zone.records.values()] == [outcome.session]


def test_while_it_serves_it_only_reads(zone: Zone, holder: Outcome, tmp_path: Path) -> None:
    """A round without news asks DNS alone, and no API."""
    zone.api = False
    assert run(zone, tmp_path, holder.session) == holder


def test_a_server_that_is_killed_while_it_takes_the_name_waits_again(
    zone: Zone, tmp_path: Path
) -> None:
    """What it wrote and never read again proves nothing."""

    def kill(_: float) -> None:
        zone.meanwhile = lambda _: None
        raise KeyboardInterrupt

    zone.meanwhile = kill
    with pytest.raises(KeyboardInterrupt):
        run(zone, tmp_path)
    begun = zone.now
    outcome = run(zone, tmp_path)
    assert outcome.held
    assert zone.now - begun == WAIT_SECONDS
    assert len(zone.records) == 1


def test_a_server_that_is_killed_while_it_restarts_goes_on(
    zone: Zone, holder: Outcome, tmp_path: Path
) -> None:
    """Killed before or after the record changed, it knows both sessions as its own."""
    for number in range(3):

        def kill(_: float) -> None:
            raise KeyboardInterrupt

        zone.meanwhile = kill
        with pytest.raises(KeyboardInterrupt):
            run(zone, tmp_path)
        zone.meanwhile = lambda _: None
        if number == 1:
            # Cloudflare shows the state of before.
            zone.hold(INSTANCE, session=str(holder.session))
    assert run(zone, tmp_path).held


def test_a_machine_cloned_with_its_volumes_takes_over_and_the_first_stands_down(
    zone: Zone, holder: Outcome, tmp_path: Path
) -> None:
    """The newest start wins; the other gives way at its next round, and stays so after a restart."""
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / MEMORY).write_bytes((tmp_path / MEMORY).read_bytes())
    assert run(zone, clone).held
    assert not run(zone, tmp_path, holder.session).held
    assert recall(tmp_path, INSTANCE, 1).standing is Standing.DOWN
    assert not run(zone, tmp_path).held
    zone.records.clear()
    assert not run(zone, tmp_path).held


def test_a_clone_whose_first_was_started_since_stays_down(
    zone: Zone, holder: Outcome, tmp_path: Path
) -> None:
    """An old copy of the volumes does not know the sessions of since: no flapping by restarts."""
    assert holder.held
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / MEMORY).write_bytes((tmp_path / MEMORY).read_bytes())
    again = run(zone, tmp_path)
    assert not run(zone, clone).held
    assert run(zone, tmp_path, again.session).held


def test_a_copy_without_its_memory_stays_down_until_a_person_says_otherwise(
    zone: Zone, holder: Outcome, tmp_path: Path
) -> None:
    """The same data under a session that it never wrote; a takeover that is typed ends it."""
    clone = tmp_path / "clone"
    clone.mkdir()
    assert not run(zone, clone).held
    memory = recall(clone, INSTANCE, 1)
    taken = claim(zone, clone).take(memory, lambda _: None)
    assert taken.held
    assert taken.memory.epoch == 1
    assert not run(zone, tmp_path, holder.session).held
    assert run(zone, clone, taken.session).held


def test_a_restored_copy_takes_over_and_the_old_one_stands_down(zone: Zone, tmp_path: Path) -> None:
    """`restore` was typed: a higher epoch needs no further command."""
    old, restored = tmp_path / "old", tmp_path / "restored"
    old.mkdir()
    restored.mkdir()
    before = claim(zone, old).run_round(recall(old, OTHER, 1), None)
    assert run(zone, restored, epoch=2).held
    after = claim(zone, old).run_round(recall(old, OTHER, 1), before.session)
    assert after.memory.standing is Standing.DOWN
    # From a disk image of before, it meets the higher epoch at once.
    assert not claim(zone, tmp_path).run_round(recall(tmp_path, OTHER, 1), None).held


def test_a_copy_with_other_data_and_the_same_epoch_does_not_take_over(
    zone: Zone, tmp_path: Path
) -> None:
    """Only a restore or a typed takeover may; that one raises the epoch."""
    zone.hold(OTHER, epoch=1)
    assert not run(zone, tmp_path).held
    taken = claim(zone, tmp_path).take(recall(tmp_path, INSTANCE, 1), lambda _: None)
    assert taken.held
    assert [record.epoch for record in zone.records.values()] == [2]
    assert recall(tmp_path, INSTANCE, 1).epoch == 2


def test_of_two_restores_at_once_one_serves(zone: Zone, tmp_path: Path) -> None:
    """Both read the old record; each sees the other's while it waits."""
    zone.hold("c" * 64, epoch=1)
    others: list[Outcome] = []
    second = tmp_path / "second"
    second.mkdir()

    def start_second(_: float) -> None:
        zone.meanwhile = lambda _: None
        zone.records |= {"held": ClaimRecord(1, "f" * 32, "c" * 64)}
        mine = {k: v for k, v in zone.records.items() if v.holder == INSTANCE}
        for identity in mine:
            del zone.records[identity]

        def both(_: float) -> None:
            zone.records |= mine

        zone.meanwhile = both
        others.append(claim(zone, second).run_round(recall(second, OTHER, 2), None))

    zone.meanwhile = start_second
    first = run(zone, tmp_path, epoch=2)
    assert len(zone.records) == 1
    assert first.held != others[0].held


def test_without_internet_the_holder_goes_on_and_a_new_copy_waits(
    zone: Zone, holder: Outcome, tmp_path: Path
) -> None:
    """Availability for who held it on this very data; a copy that never did asks for a person."""
    zone.api = zone.dns = False
    assert holder.held
    again = run(zone, tmp_path)
    assert again.held
    assert again.session is None
    restored = run(zone, tmp_path / "..", epoch=2)
    assert not restored.held
    assert restored.memory.standing is Standing.NEW
    with pytest.raises(UnreadableError):
        claim(zone, tmp_path).take(again.memory, lambda _: None)
    assert run(zone, tmp_path).held


def test_after_a_partition_the_one_that_was_overtaken_stands_down(
    zone: Zone, holder: Outcome, tmp_path: Path
) -> None:
    """It goes on for as long as it reads nothing, and reaches nobody either."""
    zone.api = zone.dns = False
    assert run(zone, tmp_path, holder.session).held
    zone.hold(OTHER, epoch=2)
    zone.dns = True
    assert not run(zone, tmp_path, holder.session).held


def test_with_a_revoked_token_it_reads_on_and_takes_nothing(
    zone: Zone, holder: Outcome, tmp_path: Path
) -> None:
    """DNS needs no token: the holder goes on and says why it cannot write; nobody takes over."""
    zone.api = False
    again = run(zone, tmp_path)
    assert again.held
    assert "DNS token" in str(again.problem)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    outcome = claim(zone, fresh).run_round(recall(fresh, OTHER, 2), None)
    assert not outcome.held
    assert outcome.memory.standing is Standing.NEW
    # With the token again it does what it could not.
    zone.api = True
    assert run(zone, tmp_path).session
    assert holder.session


def test_many_starts_without_an_answer_forget_no_session_that_dns_may_have(
    zone: Zone, holder: Outcome, tmp_path: Path
) -> None:
    """What DNS showed last is kept, however many sessions were written in vain."""
    zone.writes = False
    for _ in range(50):
        assert run(zone, tmp_path).held
    zone.writes = True
    assert len(recall(tmp_path, INSTANCE, 1).written) <= 32
    assert [record.session for record in zone.records.values()] == [holder.session]
    assert run(zone, tmp_path).held


def test_a_record_that_disappears_is_written_again(
    zone: Zone, holder: Outcome, tmp_path: Path
) -> None:
    """Deleted by hand while it serves: it serves on, and claims the name again."""
    zone.records.clear()
    told: list[Outcome] = []
    memory = recall(tmp_path, INSTANCE, 1)
    outcome = claim(zone, tmp_path, told).run_round(memory, holder.session)
    assert told[0].held
    assert outcome.held
    assert len(zone.records) == 1


def test_a_write_that_took_longer_than_others_wait_gives_way(zone: Zone, tmp_path: Path) -> None:
    """The clock is one that never goes back: how long its own requests took."""
    create = zone.create

    def create_slowly(record: ClaimRecord) -> None:
        zone.now += 26
        create(record)
        zone.records["other"] = ClaimRecord(1, "0" * 32, OTHER)

    zone.create = create_slowly  # type: ignore[method-assign]
    outcome = run(zone, tmp_path)
    assert outcome.memory.standing is Standing.DOWN
    assert list(zone.records) == ["other"]


def test_a_takeover_that_loses_says_so(zone: Zone, tmp_path: Path) -> None:
    """Two people type it at once: one of them is told."""
    zone.meanwhile = lambda _: zone.hold(OTHER, epoch=9)
    with pytest.raises(HelperError, match="same time"):
        claim(zone, tmp_path).take(recall(tmp_path, INSTANCE, 1), lambda _: None)


def test_a_damaged_memory_is_none(zone: Zone, holder: Outcome, tmp_path: Path) -> None:
    """Then the record decides: this copy no longer knows its session, and a person must say so."""
    assert holder.held
    for text in ("", "{", "[]", '{"instance": 1}'):
        (tmp_path / MEMORY).write_text(text)
        assert not run(zone, tmp_path).held
