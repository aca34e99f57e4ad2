"""Every row of the table of what a copy finds and does, and any order of copies that take a name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bundle_helper.claim.claim_record import (
    ClaimRecord,
    UnreadableError,
    name_record,
    parse_records,
)
from bundle_helper.claim.claiming import WAIT_SECONDS
from bundle_helper.claim.rules import Claimant, Standing, Verdict, is_confirmed, judge

MINE, OTHER = "a" * 64, "b" * 64
OLD, NOW, STRANGE = "1" * 32, "2" * 32, "3" * 32
NEW = Claimant(instance=MINE, epoch=2)
HELD = Claimant(instance=MINE, epoch=2, standing=Standing.HELD, sessions=(OLD, NOW))
DOWN = replace(HELD, standing=Standing.DOWN)

ROWS = [
    ("nobody", NEW, (), False, Verdict.TAKE),
    ("nobody, after a restart", HELD, (), False, Verdict.TAKE),
    ("nobody, while it serves", HELD, (), True, Verdict.RENEW),
    ("my last session at a start", HELD, ((2, NOW, MINE),), False, Verdict.RENEW),
    ("an earlier session of mine at a start", HELD, ((2, OLD, MINE),), False, Verdict.RENEW),
    ("my session while it serves", HELD, ((2, NOW, MINE),), True, Verdict.KEEP),
    ("DNS lags behind while it serves", HELD, ((2, OLD, MINE),), True, Verdict.RENEW),
    ("what I wrote and never read again", replace(HELD, standing=Standing.NEW),
     ((2, NOW, MINE),), False, Verdict.TAKE),
    ("my data, a session I never wrote, at a start", HELD, ((2, STRANGE, MINE),), False,
     Verdict.DOWN),
    ("my data, a session I never wrote, and I forgot mine", NEW, ((2, STRANGE, MINE),), False,
     Verdict.DOWN),
    ("a session that is not mine while it serves", HELD, ((2, STRANGE, MINE),), True,
     Verdict.DOWN),
    ("other data, higher epoch", HELD, ((3, STRANGE, OTHER),), True, Verdict.DOWN),
    ("other data, higher epoch, at a start", HELD, ((3, STRANGE, OTHER),), False, Verdict.DOWN),
    ("other data, same epoch", NEW, ((2, STRANGE, OTHER),), False, Verdict.DOWN),
    ("other data, same epoch, while it serves", HELD, ((2, STRANGE, OTHER),), True, Verdict.DOWN),
    ("the server whose backup was restored here", NEW, ((1, STRANGE, OTHER),), False,
     Verdict.TAKE),
    ("the same, while it serves", HELD, ((1, STRANGE, OTHER),), True, Verdict.RENEW),
    ("unreadable, held before", HELD, None, False, Verdict.KEEP),
    ("unreadable, while it serves", HELD, None, True, Verdict.KEEP),
    ("unreadable, never held", NEW, None, False, Verdict.WAIT),
    ("gave way, and nobody has it", DOWN, (), False, Verdict.DOWN),
    ("gave way, and it is unreadable", DOWN, None, False, Verdict.DOWN),
    ("the greatest of several counts", HELD, ((2, NOW, MINE), (3, OLD, OTHER)), True,
     Verdict.DOWN),
]  # fmt: skip


@pytest.mark.parametrize(("claimant", "found", "running", "verdict"), [r[1:] for r in ROWS],
                         ids=[r[0] for r in ROWS])  # fmt: skip
def test_each_row_of_the_table(
    claimant: Claimant,
    found: tuple[tuple[int, str, str], ...] | None,
    running: bool,
    verdict: Verdict,
) -> None:
    """What is found decides what is done."""
    records = None if found is None else tuple(ClaimRecord(*record) for record in found)
    assert judge(claimant, records, running=running) is verdict


def test_what_was_written_late_gives_way_to_what_stands_already() -> None:
    """A copy that took longer than others wait does not serve beside them."""
    mine, other = ClaimRecord(2, NOW, MINE), ClaimRecord(2, OLD, OTHER)
    assert mine > other
    claimant = replace(NEW, sessions=(NOW,))
    assert is_confirmed(claimant, (mine, other), late=False)
    assert not is_confirmed(claimant, (mine, other), late=True)
    assert is_confirmed(claimant, (mine, replace_epoch(other, 1)), late=True)
    assert not is_confirmed(claimant, (other,), late=False)
    assert not is_confirmed(claimant, (), late=False)


def replace_epoch(record: ClaimRecord, epoch: int) -> ClaimRecord:
    """Return a record with another epoch."""
    return record._replace(epoch=epoch)


def test_a_record_survives_its_text() -> None:
    """What is written is what is read, beside what a wildcard has there; other versions are not."""
    record = ClaimRecord(7, NOW, MINE)
    assert parse_records(["v=spf1 -all", str(record), "text"]) == (record,)
    assert len(str(record)) < 255
    assert name_record("matrix.example.org") == "_synapse-bundle.matrix.example.org"
    for text in (str(record).replace("v=1", "v=2"), str(record) + " more=1"):
        with pytest.raises(UnreadableError, match="newer"):
            parse_records([text])


@dataclass
class Copy:
    """A copy in the model: its next step, and the second at which it may do it."""

    claimant: Claimant
    seen: set[int] = field(default_factory=set)
    begun: float = 0.0
    wrote: float = 0.0
    step: str = "read"

    @property
    def serves(self) -> bool:
        """Say whether it serves."""
        return self.claimant.standing is Standing.HELD


@dataclass
class Model:
    """Copies that take one name: each step is one request, and any copy may be next."""

    copies: list[Copy]
    slowest: float
    records: dict[int, ClaimRecord] = field(default_factory=dict)
    now: float = 0.0
    written: int = 0

    def move(self, copy: Copy, number: int) -> None:
        """Let a copy do its next request."""
        getattr(self, f"_{copy.step}")(copy, number)

    def _read(self, copy: Copy, _number: int) -> None:
        verdict = judge(copy.claimant, tuple(self.records.values()), running=False)
        if verdict is Verdict.DOWN:
            self._leave(copy)
            return
        copy.seen, copy.begun, copy.step = set(self.records), self.now, "create"

    def _create(self, copy: Copy, number: int) -> None:
        self.written += 1
        session = f"{number:016x}{self.written:016x}"
        sessions = (*copy.claimant.sessions, session)
        copy.claimant = replace(copy.claimant, sessions=sessions)
        record = ClaimRecord(copy.claimant.epoch, session, copy.claimant.instance)
        self.records[self.written] = record
        copy.wrote, copy.step = self.now, "delete"

    def _delete(self, copy: Copy, _number: int) -> None:
        for identity in copy.seen:
            self.records.pop(identity, None)
        copy.step = "confirm"

    def _confirm(self, copy: Copy, _number: int) -> None:
        if self.now < copy.wrote + WAIT_SECONDS:
            return
        late = copy.wrote - copy.begun > self.slowest
        if is_confirmed(copy.claimant, tuple(self.records.values()), late=late):
            copy.claimant = replace(copy.claimant, standing=Standing.HELD)
            copy.step = "end"
        else:
            self._leave(copy)

    def _leave(self, copy: Copy) -> None:
        self.records = {
            identity: record
            for identity, record in self.records.items()
            if not copy.claimant.owns(record)
        }
        copy.claimant = replace(copy.claimant, standing=Standing.DOWN)
        copy.step = "end"

    def _end(self, copy: Copy, number: int) -> None:
        """Do nothing more in this model."""


def watch(copy: Copy, records: tuple[ClaimRecord, ...]) -> None:
    """Let a copy that serves read the record again, as it does every ten minutes."""
    if copy.serves and judge(copy.claimant, records, running=True) is Verdict.DOWN:
        copy.claimant = replace(copy.claimant, standing=Standing.DOWN)


MOVES = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from([0.0, 1.0, 6.0, 24.0, 29.0, 31.0]),
        st.integers(0, 2**32),
    ),
    min_size=8,
    max_size=60,
)


# The second copy writes at once, the first one a few seconds later: with a shorter wait both serve.
OVERTAKING = [(0, 0.0, 0), (1, 0.0, 0), (1, 1.0, 0), (1, 0.0, 0), (1, 6.0, 0), (0, 6.0, 1)]
OVERTAKING += [(0, 0.0, 0), (0, 6.0, 0), (1, 24.0, 0), (0, 6.0, 0)]


@settings(max_examples=1500)
@given(epochs=st.lists(st.integers(1, 2), min_size=2, max_size=4), moves=MOVES)
@example(epochs=[1, 1], moves=OVERTAKING)
def test_two_copies_never_take_one_name_at_once(
    epochs: list[int], moves: list[tuple[int, float, int]]
) -> None:
    """Whatever the order and the time of requests, no two copies of one epoch serve at once.

    One that was restored from it may meet it for as long as it has not read again: afterwards one is left.
    """
    copies = [
        Copy(claimant=Claimant(instance=f"{number:064x}", epoch=epoch))
        for number, epoch in enumerate(epochs)
    ]
    model = Model(copies=copies, slowest=25)
    for number, pause, draw in moves:
        copy = copies[number % len(copies)]
        model.now += pause
        model.move(copy, draw)
        serving = [c.claimant.epoch for c in copies if c.serves]
        assert len(serving) == len(set(serving))
    for _ in range(2):
        for copy in copies:
            watch(copy, tuple(model.records.values()))
    assert sum(copy.serves for copy in copies) <= 1


@settings(max_examples=300)
@given(
    sessions=st.lists(st.integers(0, 2**64), min_size=2, max_size=4, unique=True),
    order=st.permutations(range(4)),
)
def test_of_clones_that_run_at_once_one_is_left(sessions: list[int], order: list[int]) -> None:
    """Machines cloned with their volumes go at once; after each has read again, one serves."""
    first = ClaimRecord(1, OLD, MINE)
    clones = [
        Claimant(instance=MINE, epoch=1, standing=Standing.HELD, sessions=(OLD,)) for _ in sessions
    ]
    records: list[ClaimRecord] = [first]
    for number, session in enumerate(f"{one:032x}" for one in sessions):
        clones[number] = replace(clones[number], sessions=(OLD, session))
        records.append(ClaimRecord(1, session, MINE))
    records.remove(first)
    for number in order:
        if number >= len(clones):
            continue
        if judge(clones[number], tuple(records), running=True) is Verdict.DOWN:
            records = [
                record for record in records if record.session not in clones[number].sessions
            ]
            clones[number] = replace(clones[number], standing=Standing.DOWN)
    assert sum(clone.standing is Standing.HELD for clone in clones) == 1
