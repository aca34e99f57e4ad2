"""Waiting until something holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

# Seconds that anything may take on a slow machine before it counts as broken.
PATIENCE: Final = 240
_PAUSE: Final = 0.05
# A look that takes time is taken less often, or it would hold up what it waits for: a quarter of the time is
# spent looking, and more where three times a look would be longer than the longest pause.
_PAUSES: Final = 3
_LONGEST_PAUSE: Final = 0.5


def wait_for(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until a condition holds; raises AssertionError with `what` after `patience` seconds."""
    if not becomes_true(condition, patience):
        raise AssertionError(f"timed out after {patience} s waiting for this: {what}")


def becomes_true(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition and return whether it came to hold in time."""
    begun = time.monotonic()
    deadline = begun + seconds
    while not condition():
        ended = time.monotonic()
        if ended > deadline:
            return False
        time.sleep(min(max(_PAUSE, _PAUSES * (ended - begun)), _LONGEST_PAUSE))
        begun = time.monotonic()
    return True
