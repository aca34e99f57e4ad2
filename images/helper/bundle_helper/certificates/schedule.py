"""When to ask for a certificate, and when a missing one starts to matter. Pure: time is given."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ..settings.limits import Limit
    from .history import History

# Let's Encrypt asks for at least two attempts a day, at moments of each server's own, and for these
# pauses after failures: https://letsencrypt.org/docs/integration-guide/
_SHORTEST_PAUSE: Final = timedelta(hours=10)
_JITTER: Final = timedelta(hours=2)
_PAUSES_AFTER_FAILURE: Final = (
    timedelta(minutes=1),
    timedelta(minutes=10),
    timedelta(minutes=100),
    timedelta(days=1),
)


@dataclass(frozen=True, kw_only=True)
class Deadlines:
    """From `warning` on a failing renewal is reported, from `failure` on nothing excuses it."""

    warning: datetime
    failure: datetime


def compute_deadlines(start: datetime, end: datetime, warn: Limit, fail: Limit) -> Deadlines:
    """Return the moments of a certificate valid from `start` to `end`, whatever its life.

    Failure is never earlier than halfway from the warning to the end: seven days are more than
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


def is_due(
    history: History, salt: str, now: datetime, *, renewable_since: datetime | None = None
) -> bool:
    """Say whether to ask now.

    `renewable_since` is when the present certificate became due for renewal, if it has: that is a
    reason to ask before the pause is over, but not before a failure's pause is over. An attempt in
    the future was made by a clock that was wrong.
    """
    if history.attempted is not None and history.attempted > now:
        return True
    if now >= next_attempt(history, salt):
        return True
    waits = history.failures or (history.not_before is not None and history.not_before > now)
    if renewable_since is None or waits:
        return False
    return history.attempted is None or history.attempted < renewable_since


def _fraction(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) / 2**32
