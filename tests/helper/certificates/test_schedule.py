"""When to ask and when to worry follows from the certificate's own life, whatever it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle_helper.certificates import schedule
from bundle_helper.certificates.schedule import History

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOURS = timedelta(hours=1)
MOMENTS = st.integers(0, 3 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


def fail(times: int) -> History:
    history = History()
    for _ in range(times):
        history = schedule.fail(history, NOW, "no")
    return history


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
    third, week = schedule.parse_limit("1/3"), schedule.parse_limit("7d")
    found = schedule.deadlines(NOW, NOW + life, third, week)
    assert abs(NOW + life - found.warning - warning) < timedelta(milliseconds=1)
    assert abs(NOW + life - found.failure - failure) < timedelta(milliseconds=1)


@pytest.mark.parametrize("text", ["", "7", "0d", "1/1", "1/10", "7 d", "-1d", "2/3"])
def test_what_is_no_limit_is_refused(text: str) -> None:
    """A limit is a share or a span and nothing else."""
    with pytest.raises(ValueError, match="is not a share"):
        schedule.parse_limit(text)


def test_pauses_after_failures_grow_from_a_minute_to_a_day() -> None:
    """A broken token is not tried every minute for ever."""
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
    history = History(attempted=NOW)
    assert len({schedule.next_attempt(history, f"{n}.example.org") for n in range(50)}) > 45


def test_a_rate_limit_is_waited_for() -> None:
    """Where the authority names a moment, nothing is asked before it."""
    until = NOW + 30 * HOURS
    history = schedule.fail(History(), NOW, "limit", until)
    assert not schedule.is_due(history, "x", until - timedelta(seconds=1))
    assert schedule.is_due(history, "x", until)


def test_a_clock_that_was_ahead_does_not_silence_the_helper() -> None:
    """An attempt in the future is forgotten."""
    assert schedule.is_due(History(attempted=NOW + 48 * HOURS), "x", NOW)


def test_the_first_failure_is_remembered_until_success() -> None:
    """Since when it fails is told, not when it failed last."""
    later = schedule.fail(schedule.fail(History(), NOW, "a"), NOW + HOURS, "b")
    assert (later.failing_since, later.failures, later.problem) == (NOW, 2, "b")
    assert schedule.succeed(later, NOW).failing_since is None


def test_word_is_worth_its_patience_and_is_sent_once_a_day() -> None:
    """Nobody is woken by one failure, and nobody twice a day for the same."""
    day = timedelta(days=1)
    assert not schedule.is_worth_word(NOW, NOW + day - HOURS, day)
    assert schedule.is_worth_word(NOW, NOW + day, day)
    assert not schedule.is_worth_word(None, NOW, day)
    assert schedule.is_recent(NOW + day, NOW + 2 * day - HOURS)
    assert not schedule.is_recent(NOW + day, NOW + 2 * day)
    assert not schedule.is_recent(None, NOW)
    assert not schedule.is_recent(NOW + day, NOW)


@given(attempted=st.none() | MOMENTS, failures=st.integers(0, 99), problem=st.none() | st.text())
def test_a_history_survives_its_file(
    attempted: datetime | None, failures: int, problem: str | None
) -> None:
    """What is stored is what is read."""
    history = History(attempted=attempted, failures=failures, problem=problem, not_before=attempted)
    assert schedule.from_json(json.loads(json.dumps(schedule.to_json(history)))) == history
