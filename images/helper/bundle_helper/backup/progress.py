"""What a long step shows: a line that moves on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TextIO

# How many bytes are done, and of how many, where that is known.
Report = Callable[[int, "int | None"], None]

_MOVING_SECONDS: Final = 0.2
_PLAIN_SECONDS: Final = 30.0
_STEP: Final = 1000
_CLEAR: Final = "\r\x1b[K"


def ignore_progress(_done: int, _total: int | None) -> None:
    """Show nothing."""


class Progress:
    """Sentences, and the progress of the present step, on one stream; call it to say a sentence."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._moves = stream.isatty()
        self._shown_at = clock()
        self._is_shown = False

    def __call__(self, sentence: str) -> None:
        self._write(f"{sentence}\n")
        self._is_shown = False

    def follow(self, step: str) -> Report:
        """Return what shows the progress of a step called `step`."""
        self._shown_at = self._clock() - (_MOVING_SECONDS if self._moves else 0)
        return lambda done, total: self._show(step, done, total)

    def _show(self, step: str, done: int, total: int | None) -> None:
        now = self._clock()
        if now - self._shown_at < (_MOVING_SECONDS if self._moves else _PLAIN_SECONDS):
            return
        self._shown_at = now
        line = f"{step}: {format_size(done)}"
        if total is not None and total >= done > 0:
            line += f" of {format_size(total)} ({100 * done // total} %)"
        self._write(line if self._moves else f"{line}\n")
        self._is_shown = self._moves

    def _write(self, text: str) -> None:
        self._stream.write((_CLEAR if self._is_shown or self._moves else "") + text)
        self._stream.flush()


def format_size(size: int) -> str:
    """Return a number of bytes as a person reads it, such as `1.3 GB`."""
    value = float(size)
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if value < _STEP:
            return f"{value:.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= _STEP
    return f"{value:.1f} PB"
