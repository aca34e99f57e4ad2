"""What exists at Cloudflare, kind by kind; and what it takes to read it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from .access import Access
from .desired import Desired
from .local_secrets import LocalSecrets
from .session import Session
from .state import CloudflareState

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class Found:
    """Everything that matters, as it is now: a reading of each kind, by its class."""

    access: Access
    readings: dict[type[Any], Any] = field(default_factory=dict)

    def add(self, reading: object) -> Found:
        """Return this with one more kind's reading."""
        return replace(self, readings={**self.readings, type(reading): reading})

    def get(self, reading: type[R]) -> R:
        """Return a kind's reading; a kind may use those of the kinds before it."""
        found: R = self.readings[reading]
        return found


@dataclass(frozen=True, kw_only=True)
class ReadContext:
    """What a kind reads with."""

    session: Session
    desired: Desired
    state: CloudflareState
    access: Access
    secrets: LocalSecrets


@dataclass(frozen=True, kw_only=True)
class PlanContext:
    """What a kind compares: what is desired, what there is, and what the bundle created."""

    desired: Desired
    found: Found
    state: CloudflareState
