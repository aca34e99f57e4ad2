"""When to ask and when to warn follows from the certificate's own life, whatever it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle_helper.certificates import schedule
from bundle_helper.certificates.history import History
from bundle_helper.settings.limits import parse_limit

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = timedelta(hours=1)
MOMENTS = st.integers(0, 3 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def fail(times: int) -> History:
    known = History()
    for _ in range(times):
        known = known.after_failure(NOW, "no")
    return known


@pytest.mark.parametrize(
    ("life", "warning", "failure"),
    [
        (160 * HOURS, 160 * HOURS / 3, 160 * HOURS / 6),
        (timedelta(days=45), timedelta(days=15), timedelta(days=7)),
        (timedelta(days=64), timedelta(days=64) / 3, timedelta(days=7)),
        (timedelta(seconds=40), timedelta(seconds=40) / 3, timedelta(seconds=40) / 6),
    ],
)
def test_deadlines_follow_the_life(life: timedelta, warning: timedelta, failure: timedelta) -> None:
    """Lives from seconds to months have their warning and their end in the same order."""
    third, week = parse_limit("1/3"), parse_limit("7d")
    found = schedule.compute_deadlines(NOW, NOW + life, third, week)
    assert abs(NOW + life - found.warning - warning) < timedelta(milliseconds=1)
    assert abs(NOW + life - found.failure - failure) < timedelta(milliseconds=1)


def test_pauses_after_failures_grow_from_a_minute_to_a_day() -> None:
    """A broken token is not tried every minute forever."""
    pauses = [schedule.next_attempt(fail(n), "x") - NOW for n in range(1, 7)]
    minutes = [pause.total_seconds() / 60 for pause in pauses]
    assert minutes == [1, 10, 100, 1440, 1440, 1440]


@given(attempted=MOMENTS, salt=st.text())
def test_it_asks_at_least_twice_a_day_and_not_with_everybody(
    attempted: datetime, salt: str
) -> None:
    """After success the next question comes within ten to twelve hours."""
    planned = schedule.next_attempt(History(attempted=attempted), salt)
    assert 10 * HOURS <= planned - attempted <= 12 * HOURS


def test_two_servers_do_not_ask_at_the_same_moment() -> None:
    """The jitter is each server's own."""
    known = History(attempted=NOW)
    assert len({schedule.next_attempt(known, f"{n}.example.org") for n in range(50)}) > 45


def test_a_rate_limit_is_waited_for() -> None:
    """Where the authority names a moment, nothing is asked before it."""
    until = NOW + 30 * HOURS
    known = History().after_failure(NOW, "limit", until)
    assert not schedule.is_due(known, "x", until - timedelta(seconds=1))
    assert schedule.is_due(known, "x", until)


def test_a_clock_that_was_ahead_does_not_silence_the_helper() -> None:
    """An attempt in the future is forgotten."""
    assert schedule.is_due(History(attempted=NOW + 48 * HOURS), "x", NOW)


@pytest.mark.parametrize(
    ("known", "due"),
    [
        (History(), True),
        (History(attempted=NOW - 3 * HOURS), True),
        (History(attempted=NOW - HOURS), False),
        (History(attempted=NOW - 3 * HOURS, failures=4), False),
        (History(attempted=NOW - 3 * HOURS, not_before=NOW + HOURS), False),
    ],
)
def test_a_certificate_that_has_become_due_is_a_reason_to_ask(known: History, due: bool) -> None:
    """It shortens the usual pause, but never one after a failure or one that the authority wants."""
    assert schedule.is_due(known, "x", NOW, renewable_since=NOW - 2 * HOURS) is due


def test_waiting_for_room_counts_no_failure() -> None:
    """A full disk is looked at every ten minutes, however long it is full."""
    known = History()
    for _ in range(9):
        known = known.postponed(NOW, "full")
    assert (known.failures, known.failing_since, known.problem) == (0, NOW, "full")
    assert not schedule.is_due(known, "x", NOW + timedelta(minutes=9))
    assert schedule.is_due(known, "x", NOW + timedelta(minutes=10))
