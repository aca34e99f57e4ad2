"""What is remembered of the attempts: in the volume over the years, in memory where that is full.

The pause between attempts follows from it, so an attempt that could not be written down would be
made again a minute later, and each could use up one of the few certificates that an authority gives.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from .. import storage
from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HISTORY: Final = "history.json"
_POSTPONED: Final = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class History:
    """The outcome of the attempts so far; kept on disk, so that a restart does not ask more often.

    `fingerprint` is a digest of the settings that the attempts were made with.
    """

    attempted: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    problem: str | None = None
    not_before: datetime | None = None
    fingerprint: str = ""

    def after_success(self, now: datetime) -> History:
        """Return the history after a successful attempt."""
        return History(attempted=now, fingerprint=self.fingerprint)

    def after_failure(
        self, now: datetime, problem: str, not_before: datetime | None = None
    ) -> History:
        """Return the history after a failed attempt; `not_before` is what the authority asked for."""
        return replace(
            self,
            attempted=now,
            failures=self.failures + 1,
            failing_since=min(self.failing_since or now, now),
            problem=problem,
            not_before=not_before,
        )

    def postponed(self, now: datetime, problem: str) -> History:
        """Return the history where no request was made, because this machine was not ready for it.

        It heals without the authority, so the next attempt is soon, and no failure is counted.
        """
        return replace(
            self,
            failing_since=min(self.failing_since or now, now),
            problem=problem,
            not_before=now + _POSTPONED,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the history as JSON values."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in vars(self).items()
        }


def parse(content: Mapping[str, Any]) -> History:
    """Return a history that was stored; ValueError, KeyError or TypeError if it is not one."""
    return History(
        attempted=_parse_moment(content["attempted"]),
        failures=int(content["failures"]),
        failing_since=_parse_moment(content["failing_since"]),
        problem=content["problem"],
        not_before=_parse_moment(content["not_before"]),
        fingerprint=str(content["fingerprint"]),
    )


def _parse_moment(text: str | None) -> datetime | None:
    moment = datetime.fromisoformat(text) if text is not None else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    return moment


def read(memory: Path, volume: Path, fingerprint: str) -> History:
    """Return the history of the present settings; a new one if there is none.

    `memory` and `volume` are the two directories that may hold it; the later one counts.
    """
    known = [
        history
        # Memory first: of two equally late ones it is never behind.
        for directory in (memory, volume)
        if (history := _read_one(directory / HISTORY)) and history.fingerprint == fingerprint
    ]
    return max(known, key=_last_moment, default=History(fingerprint=fingerprint))


def write(memory: Path, volume: Path, history: History) -> None:
    """Write to both directories; HelperError, after both were tried, if one refuses it."""
    with contextlib.ExitStack() as last:
        for directory in (memory, volume):
            last.callback(storage.write_json, directory / HISTORY, history.to_json(), mode=0o600)


def write_again(memory: Path, volume: Path) -> str | None:
    """Write to the volume what it could not take earlier; return why it still cannot, or None."""
    remembered = _read_one(memory / HISTORY)
    if remembered is None or remembered == _read_one(volume / HISTORY):
        return None
    try:
        write(memory, volume, remembered)
    except HelperError as error:
        return error.message
    return None


def _read_one(path: Path) -> History | None:
    try:
        return parse(storage.read_json(path))
    except (HelperError, ValueError, LookupError, TypeError):
        return None


def _last_moment(history: History) -> float:
    moments = (history.attempted, history.failing_since)
    return max((moment.timestamp() for moment in moments if moment), default=0)
