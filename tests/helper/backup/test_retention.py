"""Which sets stay: laws over any history of sets, and the cases that a person would think of."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bundle_helper.backup.repository import Snapshot
from bundle_helper.backup.retention import choose_forgotten
from bundle_helper.backup.sets import choose_complete, read_name
from bundle_helper.settings.backup_settings import Retention

START = datetime(2026, 1, 5, 3, 30, tzinfo=UTC)
NOW = START + timedelta(days=900)
KEEP = Retention(daily=7, weekly=5, monthly=12)
HALVES = ("dump", "set", "void", "takeover", "theirs")


def snapshot(name: str, time: datetime, *tags: str) -> Snapshot:
    """Return one snapshot of the set called `name`."""
    return Snapshot(
        id=f"{name}-{tags[0]}",
        time=time,
        tags=frozenset((*tags, *([] if "theirs" in tags else [f"set-{name}"]))),
        paths=(),
        size=0,
    )


def whole(name: str, time: datetime, kind: str = "scheduled") -> list[Snapshot]:
    """Return both snapshots of a complete set."""
    return [snapshot(name, time, "dump", kind), snapshot(name, time, "set", kind)]


def order(snapshots: list[Snapshot]) -> tuple[Snapshot, ...]:
    """Return snapshots as the repository lists them."""
    return tuple(sorted(snapshots, key=lambda one: one.time, reverse=True))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Snapshot, ...]:
    """Return any history: complete sets, halves of sets, revoked ones, other people's snapshots."""
    found = []
    for number, hours in enumerate(draw(st.lists(st.integers(0, 900 * 24), max_size=60))):
        parts = draw(st.sets(st.sampled_from(HALVES), min_size=1) | st.just({"dump", "set"}))
        kind = draw(st.sampled_from(["scheduled", "manual", "final", "before-update"]))
        time = START + timedelta(hours=hours)
        found += [snapshot(f"{number}", time, part, kind) for part in sorted(parts)]
    return order(found)


keeps = st.builds(
    Retention, daily=st.integers(0, 10), weekly=st.integers(0, 6), monthly=st.integers(0, 14)
)


@given(histories(), keeps)
def test_laws(snapshots: tuple[Snapshot, ...], keep: Retention) -> None:
    """The newest set, every last one of a move, takeovers and other people's snapshots always stay."""
    forgotten = choose_forgotten(snapshots, keep, NOW)
    left = tuple(one for one in snapshots if one.id not in forgotten)
    complete, stayed = choose_complete(snapshots), choose_complete(left)
    assert stayed[:1] == complete[:1]
    assert {one for one in complete if "final" in one.tags} <= set(stayed)
    assert all(one in left for one in snapshots if {"takeover", "theirs"} & one.tags)
    for count, period in (
        (keep.daily, "%Y-%m-%d"),
        (keep.weekly, "%G-%V"),
        (keep.monthly, "%Y-%m"),
    ):
        periods = sorted({one.time.strftime(period) for one in complete}, reverse=True)[:count]
        assert set(periods) <= {one.time.strftime(period) for one in stayed}
    old = [one for one in stayed if NOW - one.time > timedelta(days=2)]
    others = [one for one in old if "final" not in one.tags]
    assert len(others) <= 1 + keep.daily + keep.weekly + keep.monthly
    # A set goes with both its snapshots or with none, and what goes is gone after one run.
    names = {read_name(one) for one in complete if one.id in forgotten}
    assert all(
        one.id in forgotten
        for one in snapshots
        if read_name(one) in names and {"set", "dump"} & one.tags
    )
    assert not choose_forgotten(left, keep, NOW)


@given(histories(), keeps)
def test_remnants(snapshots: tuple[Snapshot, ...], keep: Retention) -> None:
    """What never became a set goes after two days, and not before: it may still be running."""
    complete = {read_name(one) for one in choose_complete(snapshots)}
    halves = [
        one
        for one in snapshots
        if {"dump", "set", "void"} & one.tags and read_name(one) not in complete
    ]
    forgotten = choose_forgotten(snapshots, keep, NOW)
    for one in halves:
        assert (one.id in forgotten) == (NOW - one.time > timedelta(days=2))


def test_years() -> None:
    """Two years of nights leave seven days, five weeks and twelve months."""
    nights = [one for n in range(730) for one in whole(f"{n}", START + timedelta(days=n))]
    forgotten = choose_forgotten(order(nights), KEEP, START + timedelta(days=730))
    stayed = choose_complete(order([one for one in nights if one.id not in forgotten]))
    assert [f"{one.time:%m-%d}" for one in stayed] == [
        *("01-04", "01-03", "01-02", "01-01", "12-31", "12-30", "12-29"),
        *("12-26", "12-19", "12-12", "11-30", "10-31", "09-30", "08-31", "07-31", "06-30"),
        *("05-31", "04-30", "03-31", "02-28"),
    ]


def test_clock_back_by_a_day() -> None:
    """A set made with a clock that is a day behind stays, and so does every good one."""
    nights = [one for n in range(7) for one in whole(f"{n}", START + timedelta(days=n))]
    behind = whole("behind", START + timedelta(days=5, minutes=1))
    everything = order([*nights, *behind])
    assert choose_forgotten(everything, KEEP, START + timedelta(days=5, hours=1)) == set()


def test_clock_back_by_years() -> None:
    """Even then the set that was just made is not deleted right after, nor the newest by its time."""
    nights = [one for n in range(60) for one in whole(f"{n}", START + timedelta(days=n))]
    keep = Retention(daily=2, weekly=0, monthly=0)
    everything = order([*nights, *whole("old", START - timedelta(days=2000))])
    assert choose_forgotten(everything, keep, START - timedelta(days=2000)) == set()


def test_two_of_one_day() -> None:
    """A set by hand outlives the set of the same night for two days, then the newest of the day stays."""
    both = order([*whole("hand", START), *whole("night", START + timedelta(hours=8))])
    assert choose_forgotten(both, KEEP, START + timedelta(days=2)) == set()
    assert choose_forgotten(both, KEEP, START + timedelta(days=2, minutes=1)) == {
        "hand-dump",
        "hand-set",
    }
