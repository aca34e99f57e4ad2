"""How one thing is taken back: a sentence, and the requests it takes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from .state import Made

# Method, path and body.
Call = tuple[str, str, Any]


class Verb(StrEnum):
    """What happens to a thing; somebody else's changes are kept, what is refused is skipped."""

    DELETE = "delete"
    RESTORE = "restore"
    KEEP = "keep"
    SKIP = "skip"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Undoing:
    """How one entry of the state is taken back; without calls there is nothing left to do."""

    made: Made
    verb: Verb
    text: str
    calls: tuple[Call, ...] = ()


def delete(made: Made, text: str, *paths: str) -> Undoing:
    """Return that a thing is deleted, by these paths."""
    calls: tuple[Call, ...] = tuple(("DELETE", path, None) for path in paths)
    return Undoing(made=made, verb=Verb.DELETE, text=text, calls=calls)


def restore(made: Made, text: str, call: Call) -> Undoing:
    """Return that what was there before comes back, by one request."""
    return Undoing(made=made, verb=Verb.RESTORE, text=text, calls=(call,))


def gone(made: Made, text: str) -> Undoing:
    """Return that there is nothing to take back any more."""
    return Undoing(made=made, verb=Verb.GONE, text=text)


def keep(made: Made, text: str) -> Undoing:
    """Return that somebody changed a thing since, so that it is left to them."""
    return Undoing(made=made, verb=Verb.KEEP, text=f"{text}: somebody changed it since")


def skip(made: Made, text: str) -> Undoing:
    """Return that a thing stays for now, because this token cannot take it back."""
    return Undoing(made=made, verb=Verb.SKIP, text=text)
