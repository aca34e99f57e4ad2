"""Ends a command when it is asked to, by the same way as Ctrl+C: what is open is put in order."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType


def end_when_asked() -> None:
    """Let SIGTERM and SIGINT raise KeyboardInterrupt from now on."""
    # SIGINT too: a shell that starts this in the background has it ignored.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
