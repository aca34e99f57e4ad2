"""When sets and drills are made, with a clock of the test's own."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING

import pytest

from bundle_helper.backup import report
from bundle_helper.backup.timetable import Work, find_due, keep_schedule

if TYPE_CHECKING:
    from pathlib import Path

AT = time(3, 30)
START = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
WEEK = timedelta(days=7)


def at(day: int, hour: int = 3, minute: int = 30) -> datetime:
    """Return a moment of that November."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("last", "failed", "now", "due"),
    [
        (at(27), None, at(27, 12), at(28)),
        (at(26), None, at(27, 12), at(27, 12)),
        (at(26), None, at(27, 3, 29), at(27)),
        (at(26), None, at(27), at(27)),
        (at(27, 3, 31), None, at(27, 23), at(28)),
        (at(20), None, at(27, 12), at(27, 12)),
        (at(26), at(27), at(27, 4), at(27, 4, 30)),
        (at(26), at(27), at(27, 4, 30), at(27, 4, 30)),
        (at(26), at(28), at(27, 12), at(27, 12)),
        (at(29), None, at(27, 12), at(27, 12)),
    ],
    ids=[
        *("made today", "missed today", "not yet", "to the minute", "by hand since", "long off"),
        *("failed", "failed an hour ago", "failed in the future", "made in the future"),
    ],
)
def test_due(last: datetime, failed: datetime | None, now: datetime, due: datetime) -> None:
    """A missed set is due at once, a failed one an hour later; no wrong clock stops the schedule."""
    assert find_due(AT, last, failed, now) == due


class EndedError(Exception):
    """The test has seen enough."""


@dataclass
class Days:
    """Days that pass as fast as the schedule sleeps, with what was done when."""

    directory: Path
    end: datetime
    moment: datetime = START
    broken_until: datetime = START
    sets: list[str] = field(default_factory=list)
    drills: list[str] = field(default_factory=list)
    drill_problem: str | None = None

    def make_set(self) -> bool:
        """Note a set as the service does, or fail."""
        self.sets.append(f"{self.moment:%d %H:%M}")
        if self.moment < self.broken_until:
            report.note_problem(self.directory, "no room", self.moment)
            return False
        report._note(self.directory, last_set={"set": "name", "time": self.moment.isoformat()})
        report.note_problem(self.directory, None, self.moment)
        return True

    def drill(self) -> bool:
        """Note a drill as the service does."""
        self.drills.append(f"{self.moment:%d %H:%M}")
        report.note_drill(self.directory, "name", self.drill_problem, self.moment)
        return self.drill_problem is None

    def sleep(self, seconds: float) -> None:
        """Let the time pass."""
        assert 0 <= seconds <= 300
        self.moment += timedelta(seconds=max(seconds, 1))
        if self.moment > self.end:
            raise EndedError

    def run(self, period: timedelta | None = None) -> None:
        """Keep the schedule to the end of the days."""
        work = Work(self.make_set, self.drill)
        with pytest.raises(EndedError):
            keep_schedule(
                self.directory, AT, period, work, now=lambda: self.moment, sleep=self.sleep
            )


def test_days(tmp_path: Path) -> None:
    """The first set is made at the next time, then one a day; the report says when the next is."""
    days = Days(tmp_path, START + timedelta(days=3))
    days.run()
    assert days.sets == ["28 03:30", "29 03:30", "30 03:30"]
    assert days.drills == []
    status = report.read_status(tmp_path)
    assert status["next"] == "2026-12-01T03:30:00+00:00"
    assert status["since"] == START.isoformat()
    assert status["problem"] is None


def test_restart(tmp_path: Path) -> None:
    """What was missed while the service was off is made up at its start."""
    Days(tmp_path, START + timedelta(days=1)).run()
    later = START + timedelta(days=2)
    days = Days(tmp_path, later + timedelta(hours=1), moment=later)
    days.run()
    assert days.sets == ["29 12:00"]


def test_failure(tmp_path: Path) -> None:
    """A set that failed is tried every hour; the report has the problem and its beginning meanwhile."""
    days = Days(tmp_path, START + timedelta(hours=18), broken_until=START + timedelta(days=9))
    days.run()
    assert days.sets == ["28 03:30", "28 04:30", "28 05:30"]
    status = report.read_status(tmp_path)
    assert (status["problem"], status["failing_since"]) == ("no room", at(28).isoformat())
    days.broken_until, days.end = START, START + timedelta(hours=20)
    days.run()
    status = report.read_status(tmp_path)
    assert (status["problem"], status["failing_since"]) == (None, None)


def test_drills(tmp_path: Path) -> None:
    """A drill follows the first set, then comes once a period; one that failed is repeated daily."""
    days = Days(tmp_path, START + timedelta(days=9))
    days.run(WEEK)
    assert days.drills == ["28 03:30", "05 03:30"]
    assert report.read_status(tmp_path)["last_drill"]["set"] == "name"
    days.drill_problem, days.end = "the table events has 1 row", days.moment + timedelta(days=8)
    days.run(WEEK)
    assert days.drills[2:] == ["12 03:30", "13 03:30", "14 03:30"]
    status = report.read_status(tmp_path)
    assert status["drill_problem"] == "the table events has 1 row"
    assert status["last_drill"]["time"].startswith("2026-12-05")
