"""When to ask for a certificate, and when a missing one starts to matter. Pure: time is given."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Let's Encrypt asks for two questions a day at least, at moments that nobody shares, and for these
# pauses after failures: https://letsencrypt.org/docs/integration-guide/
_SHORTEST_PAUSE = timedelta(hours=10)
_JITTER = timedelta(hours=2)
_PAUSES_AFTER_FAILURE = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(minutes=100),
    timedelta(days=1),
)
_POSTPONED = timedelta(minutes=10)
_A_DAY = timedelta(days=1)
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1)}


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A part of a certificate's life: a share of it, or a span (at most all of it)."""

    share: Fraction = Fraction(1)
    span: timedelta = timedelta.max

    def within(self, life: timedelta) -> timedelta:
        """Return how long this is for a certificate of that life."""
        return min(self.span, life * self.share.numerator / self.share.denominator)


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """From `warning` on a failing renewal is told, from `failure` on nothing excuses it."""

    warning: datetime
    failure: datetime


@dataclass(frozen=True, kw_only=True)
class History:
    """What became of the attempts so far; kept on disk, so that a restart asks no oftener."""

    attempted: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    problem: str | None = None
    not_before: datetime | None = None
    fingerprint: str = ""


def parse_limit(text: str) -> Limit:
    """Return the limit in `1/3`, `7d` or `36h`; ValueError otherwise."""
    if re.fullmatch(r"1/[2-9]", text):
        return Limit(share=Fraction(text))
    if re.fullmatch(r"[1-9][0-9]{0,2}[dh]", text):
        return Limit(span=int(text[:-1]) * _UNITS[text[-1]])
    raise ValueError(f"{text!r} is not a share such as 1/3 or a span such as 7d or 36h")


def deadlines(start: datetime, end: datetime, warn: Limit, fail: Limit) -> Deadlines:
    """Return the moments of a certificate valid from `start` to `end`, whatever its life.

    Failure is never earlier than half way from the warning to the end: seven days are more than
    the whole life of a short-lived certificate.
    """
    warning = warn.within(end - start)
    return Deadlines(
        warning=end - warning, failure=end - min(fail.within(end - start), warning / 2)
    )


def next_attempt(history: History, salt: str) -> datetime:
    """Return when to ask next; the past if it is time. `salt` makes the jitter this server's own."""
    if history.attempted is None:
        return history.not_before or datetime.min.replace(tzinfo=UTC)
    if history.failures:
        pause = _PAUSES_AFTER_FAILURE[min(history.failures, len(_PAUSES_AFTER_FAILURE)) - 1]
    else:
        pause = _SHORTEST_PAUSE + _JITTER * _fraction(f"{salt} {history.attempted.isoformat()}")
    planned = history.attempted + pause
    return max(planned, history.not_before) if history.not_before else planned


def is_due(history: History, salt: str, now: datetime) -> bool:
    """Say whether to ask now. An attempt in the future was made by a clock that was wrong."""
    if history.attempted is not None and history.attempted > now:
        return True
    return now >= next_attempt(history, salt)


def succeed(history: History, now: datetime) -> History:
    """Return the history after an attempt that ended well."""
    return History(attempted=now, fingerprint=history.fingerprint)


def fail(
    history: History, now: datetime, problem: str, not_before: datetime | None = None
) -> History:
    """Return the history after a failed attempt; `not_before` is what the authority asked for."""
    since = history.failing_since
    return replace(
        history,
        attempted=now,
        failures=history.failures + 1,
        failing_since=min(since, now) if since else now,
        problem=problem,
        not_before=not_before,
    )


def postpone(history: History, now: datetime, problem: str) -> History:
    """Return the history where nobody was asked, because this machine was not ready for an answer.

    It heals without the authority, so it is looked at again soon, and no failure is counted.
    """
    return replace(
        history,
        failing_since=min(history.failing_since or now, now),
        problem=problem,
        not_before=now + _POSTPONED,
    )


def is_worth_word(failing_since: datetime | None, now: datetime, patience: timedelta) -> bool:
    """Say whether something has failed for so long that somebody should hear of it."""
    return failing_since is not None and now - failing_since >= patience


def is_recent(sent: datetime | None, now: datetime) -> bool:
    """Say whether word was sent within a day; not if the clock was wrong then."""
    return sent is not None and timedelta(0) <= now - sent < _A_DAY


def to_json(history: History) -> dict[str, Any]:
    """Return the history as JSON values."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in vars(history).items()
    }


def from_json(content: Mapping[str, Any]) -> History:
    """Return a history that was stored; ValueError, KeyError or TypeError if it is none."""

    def moment(name: str) -> datetime | None:
        found = datetime.fromisoformat(content[name]) if content[name] is not None else None
        if found is not None and found.tzinfo is None:
            raise ValueError("a moment without its zone")
        return found

    return History(
        attempted=moment("attempted"),
        failures=int(content["failures"]),
        failing_since=moment("failing_since"),
        problem=content["problem"],
        not_before=moment("not_before"),
        fingerprint=str(content["fingerprint"]),
    )


def _fraction(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) / 2**32
