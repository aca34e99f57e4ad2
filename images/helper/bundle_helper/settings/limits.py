"""Parts of a certificate's life, from which a failing renewal is reported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Final

_UNITS: Final = {"d": timedelta(days=1), "h": timedelta(hours=1)}


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A part of a certificate's life: a share of it, or a span (at most all of it)."""

    share: Fraction = Fraction(1)
    span: timedelta = timedelta.max

    def within(self, life: timedelta) -> timedelta:
        """Return how long this is for a certificate of that life."""
        return min(self.span, life * self.share.numerator / self.share.denominator)


def parse_limit(text: str) -> Limit:
    """Return the limit in `1/3`, `7d` or `36h`; ValueError otherwise."""
    if re.fullmatch(r"1/[2-9]", text):
        return Limit(share=Fraction(text))
    if re.fullmatch(r"[1-9][0-9]{0,2}[dh]", text):
        return Limit(span=int(text[:-1]) * _UNITS[text[-1]])
    raise ValueError(f"{text!r} is not a share such as 1/3 or a span such as 7d or 36h")
