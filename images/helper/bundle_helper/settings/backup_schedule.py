"""When sets and drills are made, as the environment says it."""

from __future__ import annotations

import re
from datetime import time, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

NONE: Final = "none"
_DRILL_PERIODS: Final[Mapping[str, timedelta | None]] = {
    NONE: None,
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=31),
}


def parse_at(text: str) -> time | None:
    """Return the time of day that `HH:MM` means, None for `none`; ValueError otherwise."""
    if text == NONE:
        return None
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError(f"{text!r} is not a time of day such as 03:30")
    return time.fromisoformat(text)


def parse_drill(text: str) -> timedelta | None:
    """Return the period of drills, None for `none`; ValueError otherwise."""
    if text not in _DRILL_PERIODS:
        raise ValueError(f"{text!r} is not one of {', '.join(_DRILL_PERIODS)}")
    return _DRILL_PERIODS[text]
