"""Waiting until something holds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

# Seconds that anything may take on a slow machine before it counts as broken.
PATIENCE: Final = 240
_PAUSE: Final = 0.05


def wait_for(condition: Callable[[], object], what: str, patience: float = PATIENCE) -> None:
    """Wait until a condition holds; raises AssertionError with `what` after `patience` seconds."""
    if not becomes_true(condition, patience):
        raise AssertionError(f"timed out after {patience} s waiting for this: {what}")


def becomes_true(condition: Callable[[], object], seconds: float) -> bool:
    """Wait for a condition and return whether it came to hold in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_PAUSE)
    return True
