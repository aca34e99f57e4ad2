"""What Synapse's log says after a start: streams that went back, and tracebacks of a new kind. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

# Synapse writes the first three where its streams are behind what clients or tables have seen, and
# ends with the last one (synapse/streams/events.py, storage/util/sequence.py, storage/engines).
MARKS: Final = (
    "Bounding token from the future",
    "Got to-device.since from the future",
    "is behind table",
    "IncorrectDatabaseSetup",
)
_BEGIN: Final = "Traceback (most recent call last):"
# The line that ends a traceback: the exception's name, and maybe what it says.
_EXCEPTION: Final = re.compile(r"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?=:|$)")


def find_marks(log: str) -> list[str]:
    """Return the lines that a healthy start never has."""
    return [line for line in log.splitlines() if any(mark in line for mark in MARKS)]


def list_tracebacks(log: str) -> set[str]:
    """Return the names of the exceptions whose tracebacks a log holds."""
    return set(_iterate_exceptions(log.splitlines()))


def _iterate_exceptions(lines: Iterable[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        text = line.strip()
        if text == _BEGIN or line.endswith(_BEGIN):
            inside = True
        elif inside and not line.startswith((" ", "\t")) and (found := _EXCEPTION.match(text)):
            inside = False
            yield found[0]
