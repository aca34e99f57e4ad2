"""The third-party images that compose.yaml names, and the day each was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class Pin:
    """An image with its tag, and the day on which that tag was recorded."""

    reference: str
    recorded: date


def parse_pins(text: str) -> tuple[Pin, ...]:
    """Return the pins of `image:tag=YYYY-MM-DD image:tag=…`; ValueError names the first bad one."""
    return tuple(_parse_pin(entry) for entry in text.split())


def _parse_pin(entry: str) -> Pin:
    reference, _, day = entry.partition("=")
    try:
        return Pin(reference=reference, recorded=date.fromisoformat(day))
    except ValueError:
        raise ValueError(f"{entry!r} has no day: write image:tag=YYYY-MM-DD") from None
