"""The service: a set each day at its time, then the drill when it is due; until asked to end."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from . import report

if TYPE_CHECKING:
    from pathlib import Path

_DAY: Final = timedelta(days=1)
_RETRY: Final = timedelta(hours=1)
# So long is slept at most: a clock that jumps, or a machine that slept, is noticed.
_NAP: Final = timedelta(minutes=5)


class Work(NamedTuple):
    """What the schedule does; each says whether it succeeded, and notes what it did in the report."""

    make_set: Callable[[], bool]
    drill: Callable[[], bool] | None


def keep_schedule(
    directory: Path,
    at: time,
    drill_period: timedelta | None,
    work: Work,
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sleep: Callable[[float], None] = clock.sleep,
) -> None:
    """Do the work when it is due, for ever; `directory` holds the report, which outlives restarts."""
    failed: datetime | None = None
    while True:
        due = find_due(at, _read_reference(directory, now()), failed, now())
        if due <= now():
            failed = None if work.make_set() else now()
        if work.drill and drill_period and _is_drill_due(directory, drill_period, now()):
            work.drill()
        due = find_due(at, _read_reference(directory, now()), failed, now())
        report.note_next(directory, due, now())
        sleep(max(min(due - now(), _NAP), timedelta()).total_seconds())


def find_due(at: time, last: datetime, failed: datetime | None, now: datetime) -> datetime:
    """Return when the next set is due, with the last one made at `last` and an attempt `failed` since.

    A missed one is due at once, one that failed an hour later. A moment in the future is one of a
    clock that was wrong.
    """
    scheduled = datetime.combine(now.astimezone(UTC).date(), at, UTC)
    if scheduled > now:
        scheduled -= _DAY
    if scheduled <= last <= now:
        return scheduled + _DAY
    if failed is not None and failed <= now < failed + _RETRY:
        return failed + _RETRY
    return now


def _read_reference(directory: Path, now: datetime) -> datetime:
    """Return the time of the last set; before the first, since when the schedule has been running."""
    status = report.read_status(directory)
    last = status.get("last_set")
    if last:
        return datetime.fromisoformat(last["time"])
    return datetime.fromisoformat(status["since"]) if "since" in status else now


def _is_drill_due(directory: Path, period: timedelta, now: datetime) -> bool:
    """Say whether the last drill is older than its period, or than a day if it failed."""
    status = report.read_status(directory)
    if not status.get("last_set"):
        return False
    attempt = status.get("drilled")
    if attempt is None:
        return True
    pause = min(period, _DAY) if status.get("drill_problem") else period
    return not timedelta() <= now - datetime.fromisoformat(attempt) < pause
