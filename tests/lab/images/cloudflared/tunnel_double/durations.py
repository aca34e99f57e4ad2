"""Durations as Go writes them: "30s", "1m30s", "250ms"."""

from __future__ import annotations

import re
from typing import Final

from tunnel_double import RefusalError

_SECONDS: Final = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_WHOLE: Final = re.compile(rf"\+?(?:{_PART.pattern})+")


def parse_duration(text: str, where: str) -> float:
    """Return the seconds that Go's time.ParseDuration reads in the text; never negative.

    Raises RefusalError, naming `where`, for anything else. A bare number is refused like in Go: it has
    no unit.
    """
    if text == "0":
        return 0.0
    if not _WHOLE.fullmatch(text):
        msg = (
            f"{where}: {text!r} is not a duration; write a number and a unit, such as 30s or 1m30s"
        )
        raise RefusalError(msg)
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
