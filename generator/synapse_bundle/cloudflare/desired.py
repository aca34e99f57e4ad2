"""What there is at Cloudflare, and what a bundle wants there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

TUNNEL_DOMAIN: Final = ".cfargotunnel.com"
# Types that exclude one another at a name, and that decide whether it is proxied.
ADDRESSES: Final = frozenset({"A", "AAAA", "CNAME"})
# The address to give a proxied name that has no origin (Workers documentation, routes).
PLACEHOLDER: Final = "100::"
# What a record is made of again when it is put back.
RECORD_FIELDS: Final = ("type", "name", "content", "proxied", "ttl", "comment", "tags", "settings")

Json = dict[str, Any]


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
    def parse(cls, document: Json) -> Zone:
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


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """A Cloudflare Tunnel; `local` is whether the bundle's own configuration counts."""

    id: str
    name: str
    status: str
    connections: int
    local: bool

    @classmethod
    def parse(cls, document: Json) -> Tunnel:
        """Read the API's form."""
        return cls(
            id=document["id"],
            name=document["name"],
            status=document.get("status") or "inactive",
            connections=len(document.get("connections") or ()),
            local=document.get("config_src") != "cloudflare",
        )

    @property
    def address(self) -> str:
        """The name that a CNAME points to."""
        return f"{self.id}{TUNNEL_DOMAIN}"


@dataclass(frozen=True, kw_only=True)
class Record:
    """A DNS record; `fields` is what it takes to make it again."""

    id: str
    type: str
    name: str
    content: str
    proxied: bool
    proxiable: bool
    locked: bool
    ttl: int
    comment: str
    fields: Json = field(repr=False)

    @classmethod
    def parse(cls, document: Json) -> Record:
        """Read the API's form; a record that another product of Cloudflare's made is locked."""
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
            fields={key: document[key] for key in RECORD_FIELDS if document.get(key)},
        )

    def __str__(self) -> str:
        """Show as a person would write it."""
        return f"{self.type} {self.name} -> {self.content}"


@dataclass(frozen=True, kw_only=True)
class Worker:
    """The Worker to have: its module, its name without a mark, and the route that leads to it."""

    name: str
    pattern: str
    compatibility_date: str
    source: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Script:
    """A Worker that exists; `public` is whether it has an address of its own at workers.dev."""

    name: str
    etag: str
    public: bool


@dataclass(frozen=True, kw_only=True)
class Route:
    """A Worker route; an empty script is a route that switches Workers off."""

    id: str
    pattern: str
    script: str


@dataclass(frozen=True, kw_only=True)
class Token:
    """An API token of the operator's account, without its value; one that expired is not active."""

    id: str
    name: str
    active: bool = True


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a bundle wants at Cloudflare. `mints` is whether the helper's DNS token is to be made."""

    server_name: str
    homeserver: str
    worker: Worker
    mints: bool
    max_upload_size: int

    @property
    def delegates(self) -> bool:
        """Whether the server name is another host, which has to lead to the homeserver's."""
        return self.server_name != self.homeserver


@dataclass(frozen=True, kw_only=True)
class Local:
    """What lies in the bundle: the tunnel of its credential, and whether a DNS token serves.

    `strange` is whether that credential is of a tunnel that exists and that the bundle did not make.
    """

    tunnel: str = ""
    strange: bool = False
    token_serves: bool = False
