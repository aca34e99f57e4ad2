"""The third-party images that compose.yaml names, and the day each was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class ImagePin:
    """An image with its tag, and the day on which that tag was recorded."""

    reference: str
    recorded: date


def parse_pins(text: str) -> tuple[ImagePin, ...]:
    """Return the pins of `image:tag=YYYY-MM-DD image:tag=…`; ValueError names the first bad one."""
    return tuple(_parse_pin(entry) for entry in text.split())


def _parse_pin(entry: str) -> ImagePin:
    reference, _, day = entry.partition("=")
    try:
        return ImagePin(reference=reference, recorded=date.fromisoformat(day))
    except ValueError:
        raise ValueError(f"{entry!r} has no day: write image:tag=YYYY-MM-DD") from None
