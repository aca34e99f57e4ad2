"""The order of versions: of Synapse, PostgreSQL, cloudflared, and of days."""

from __future__ import annotations

import re
from typing import Final

_FORM: Final = re.compile(r"v?([0-9]{1,9}(?:[.-][0-9]{1,9}){0,5})(?:rc([0-9]{1,9}))?")
# Whatever the number of a release candidate is, the release comes after it.
_RELEASE: Final = 10**9


def parse_version(text: str) -> tuple[tuple[int, ...], int]:
    """Return a version as what compares like it; ValueError if it is not one.

    `1.164`, `v1.164.0`, `1.164.0rc3` and days such as `2026-11-24` are versions. What follows a blank,
    as in PostgreSQL's `17.12 (Debian 17.12-1)`, is not part of one.
    """
    match = _FORM.fullmatch(text.partition(" ")[0])
    if match is None:
        raise ValueError(f"{text!r} is not a version such as 1.164.2")
    numbers = [int(number) for number in re.split(r"[.-]", match[1])]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), int(match[2]) if match[2] else _RELEASE
