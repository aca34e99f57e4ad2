"""What a probe found, and the row of the table that it becomes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was proved, or what is wrong, its likely cause and what to do next."""

    ok: bool
    detail: str
    cause: str = ""
    next_step: str = ""


@dataclass(frozen=True, kw_only=True)
class Row(Finding):
    """A finding with the name of its check."""

    name: str


def passed(detail: str) -> Finding:
    """Return the finding that a proof holds."""
    return Finding(ok=True, detail=detail)


def failed(detail: str, *, cause: str, next_step: str) -> Finding:
    """Return the finding that a proof does not hold."""
    return Finding(ok=False, detail=detail, cause=cause, next_step=next_step)
