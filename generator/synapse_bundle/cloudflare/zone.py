"""A zone at Cloudflare, and the one that a host name belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .session import Session


@dataclass(frozen=True, kw_only=True)
class Zone:
    """A zone that the token can see."""

    id: str
    name: str
    account: str
    status: str
    type: str
    plan: str
    name_servers: tuple[str, ...]
    paused: bool

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Zone:
        """Read the API's form."""
        return cls(
            id=document["id"],
            name=document["name"],
            account=document["account"]["id"],
            status=document.get("status") or "active",
            type=document.get("type") or "full",
            plan=(document.get("plan") or {}).get("legacy_id") or "free",
            name_servers=tuple(document.get("name_servers") or ()),
            paused=bool(document.get("paused")),
        )

    def contains(self, host: str) -> bool:
        """Return whether a host name belongs to the zone."""
        return host == self.name or host.endswith(f".{self.name}")


def find_zone(session: Session, host: str) -> Zone | None:
    """Return the nearest zone above a host name that the token can see, or None.

    Two accounts may claim one name; the active zone answers for it.
    """
    labels = host.split(".")
    for start in range(len(labels) - 1):
        found = map(Zone.parse, session.list("/zones", {"name": ".".join(labels[start:])}))
        zones = sorted(found, key=lambda zone: zone.status != "active")
        if zones:
            return zones[0]
    return None
