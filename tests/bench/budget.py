"""The time a whole run may take: it ends by itself, whatever hangs."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

# Seconds kept for removing what was started.
RESERVE: Final = 75


class OutOfTime(BaseException):
    """The budget is used up; no `except Exception` on the way may swallow it."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """Seconds for the whole run, counted from the moment it was made."""

    seconds: float
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    @property
    def remaining(self) -> float:
        """Seconds left for measuring; the reserve is not among them."""
        return self.seconds - RESERVE - self.elapsed

    def say(self, text: str) -> None:
        """Report progress with the elapsed time, on stderr: stdout is for the results."""
        minutes, seconds = divmod(int(self.elapsed), 60)
        print(f"[{minutes:2}:{seconds:02}] {text}", file=sys.stderr, flush=True)

    @contextmanager
    def enforce(self) -> Iterator[None]:
        """Raise OutOfTime in the block when only the reserve is left, and SystemExit on SIGTERM."""

        def stop(_: int, __: FrameType | None) -> None:
            raise OutOfTime

        def terminate(_: int, __: FrameType | None) -> None:
            raise SystemExit(143)

        signal.signal(signal.SIGALRM, stop)
        signal.signal(signal.SIGTERM, terminate)
        signal.setitimer(signal.ITIMER_REAL, max(self.remaining, 1))
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
