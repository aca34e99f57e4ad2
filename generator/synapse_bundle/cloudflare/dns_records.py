"""DNS records as the API has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from .session import Session
from .zone import Zone

# Where the CNAME of a tunnel points to: its id below this.
TUNNEL_DOMAIN: Final = ".cfargotunnel.com"
# Types that exclude one another at a name, and that decide whether it is proxied.
ADDRESSES: Final = frozenset({"A", "AAAA", "CNAME"})
# The address for a proxied name without an origin (Workers documentation, routes).
PLACEHOLDER: Final = "100::"
# Below it, at each homeserver's name, the helper writes which copy of the server may serve.
_CLAIM: Final = "_synapse-bundle"
# What is needed to create a record again.
_FIELDS: Final = ("type", "name", "content", "proxied", "ttl", "comment", "tags", "settings")


@dataclass(frozen=True, kw_only=True)
class Record:
    """A DNS record; `fields` is what is needed to create it again."""

    id: str
    type: str
    name: str
    content: str
    proxied: bool
    proxiable: bool
    locked: bool
    ttl: int
    comment: str
    fields: dict[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Record:
        """Read the API's form; a record that another Cloudflare product created is locked."""
        locked = bool((document.get("meta") or {}).get("read_only"))
        return cls(
            id=document["id"],
            type=document["type"],
            name=document["name"],
            content=document.get("content") or "",
            proxied=bool(document.get("proxied")),
            proxiable=bool(document.get("proxiable", True)) and not locked,
            locked=locked,
            ttl=document.get("ttl") or 1,
            comment=document.get("comment") or "",
            fields={key: document[key] for key in _FIELDS if document.get(key)},
        )

    def __str__(self) -> str:
        """Return the record as a person would write it."""
        return f"{self.type} {self.name} -> {self.content}"


def list_records(session: Session, zone: Zone | None, name: str) -> tuple[Record, ...]:
    """Return the DNS records of a name."""
    if not zone:
        return ()
    found = session.list(f"/zones/{zone.id}/dns_records", {"name.exact": name})
    return tuple(map(Record.parse, found))


def name_claim(homeserver: str) -> str:
    """Return the name of the TXT record by which the helper claims a homeserver's name."""
    return f"{_CLAIM}.{homeserver}"


def list_claims(session: Session, zone: Zone | None, homeserver: str) -> tuple[Record, ...]:
    """Return the claims on a homeserver's name, of whichever copy."""
    found = list_records(session, zone, name_claim(homeserver))
    return tuple(record for record in found if record.type == "TXT")
