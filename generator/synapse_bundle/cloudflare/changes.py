"""One resource at Cloudflare: its condition, and what an apply would do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from .apply_run import ApplyRun
from .zone import Zone

# The resource of whatever the settings no longer need.
STALE: Final = "stale"


class Condition(StrEnum):
    """How a resource compares with what is desired; a foreign one was created by someone else."""

    PRESENT = "present"
    MISSING = "missing"
    CHANGED = "changed"
    FOREIGN = "foreign"
    LEFT = "left"


@dataclass(frozen=True, kw_only=True)
class Fix:
    """A setting of a zone, and how it would be fixed.

    `type` is that of its entry in the state; `harm` is what it breaks, empty if it is fine; `after`
    is what it should be, None if it is fine. `approved` is whether it was fixed with an approval
    before, and only has to be brought up to date.
    """

    type: str
    name: str
    zone: Zone
    title: str
    permission: str
    harm: str = ""
    cure: str = ""
    before: Any = None
    after: Any = None
    approved: bool = False

    @property
    def entry_name(self) -> str:
        """The name of its entry in the state."""
        return f"{self.name} {self.zone.name}"


@dataclass(frozen=True, kw_only=True)
class ResourceChange:
    """The condition of one resource and what is to be done; without a verb there is nothing to do.

    `apply` does it and returns why Cloudflare refused, if that stops nothing else. A foreign
    resource is changed only with an approval of its own. `depends_on` is the resource without which
    this one has no use.
    """

    resource: str
    condition: Condition
    text: str
    verb: str = ""
    apply: Callable[[ApplyRun], str | None] | None = None
    depends_on: str = ""
    fix: Fix | None = None


@dataclass(frozen=True, kw_only=True)
class Note:
    """What the operator should know; one that `stops` has to be put right before an apply."""

    text: str
    stops: bool = False
