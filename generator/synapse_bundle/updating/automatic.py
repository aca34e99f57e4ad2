"""When an update may begin without a person: only for what has known holes, at its hour, once. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Final

# The helper's row of the list itself; tests/generator/test_updating.py compares it.
LIST: Final = "list of releases"
_WINDOW: Final = timedelta(hours=1)


def is_due(at: str, now: datetime) -> bool:
    """Tell whether a moment (UTC) is in the hour that begins at a time of day."""
    hours, minutes = map(int, at.split(":"))
    begin = datetime.combine(now.date(), time(hours, minutes), tzinfo=now.tzinfo)
    # An hour that begins before midnight ends on the next day.
    return any(start <= now < start + _WINDOW for start in (begin, begin - timedelta(days=1)))


def name_attempt(holes: Mapping[str, str], compose: bytes) -> str:
    """Return what an update for these holes to that compose.yaml is known by.

    What it has not cured is not tried again until the list or this program says something else.
    """
    said = json.dumps(dict(holes), sort_keys=True).encode()
    return hashlib.sha256(said + b"\0" + compose).hexdigest()
