"""One thing at Cloudflare: how it stands, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .kinds.zone_settings import Reading
from .state import Made


class Part(StrEnum):
    """One thing that a bundle has at Cloudflare."""

    TUNNEL = "tunnel"
    CREDENTIAL = "credential"
    HOMESERVER = "homeserver"
    PLACEHOLDER = "placeholder"
    APEX = "apex"
    SUBDOMAIN = "subdomain"
    WORKER = "worker"
    WORKERS_DEV = "workers.dev"
    ROUTE = "route"
    TOKEN = "token"  # noqa: S105  # a word
    SETTING = "setting"
    STALE = "stale"


class Condition(StrEnum):
    """How a thing stands; what is foreign was made by somebody else and is in the way."""

    PRESENT = "present"
    MISSING = "missing"
    CHANGED = "changed"
    FOREIGN = "foreign"
    LEFT = "left"


# What can go without: the server is reached, other servers have to be led to it in another way.
OPTIONAL: Final = frozenset({Part.APEX, Part.ROUTE})


@dataclass(frozen=True, kw_only=True)
class Change:
    """How one thing stands and what is to be done; without a verb there is nothing to do.

    Where it is foreign, doing it needs a yes for this very part.
    """

    part: Part
    condition: Condition
    text: str
    verb: str = ""
    made: Made | None = None
    reading: Reading | None = None
