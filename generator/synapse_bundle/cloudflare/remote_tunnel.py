"""Tunnels of an account as the API has them.

Source: API reference of accounts/cfd_tunnel, teamnet/routes and zerotrust/routes/hostname.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .permissions import read_if_allowed
from .session import Session


@dataclass(frozen=True, kw_only=True)
class RemoteTunnel:
    """A tunnel at Cloudflare; `local` is whether it takes its configuration from the bundle."""

    id: str
    name: str
    status: str
    connections: int
    local: bool

    @classmethod
    def parse(cls, document: dict[str, Any]) -> RemoteTunnel:
        """Read the API's form."""
        return cls(
            id=document["id"],
            name=document["name"],
            status=document.get("status") or "inactive",
            connections=len(document.get("connections") or ()),
            local=document.get("config_src") != "cloudflare",
        )


def list_tunnels(session: Session, account: str) -> tuple[RemoteTunnel, ...]:
    """Return the tunnels of an account."""
    found = session.list(f"/accounts/{account}/cfd_tunnel", {"is_deleted": "false"})
    return tuple(map(RemoteTunnel.parse, found))


def list_private_routes(session: Session, account: str, tunnel_id: str) -> tuple[str, ...]:
    """Return the networks and names behind a tunnel, as far as the token may read them."""
    query = {"tunnel_id": tunnel_id, "is_deleted": "false"}
    path = f"/accounts/{account}"
    networks = read_if_allowed(session, f"{path}/teamnet/routes", **query) or ()
    names = read_if_allowed(session, f"{path}/zerotrust/routes/hostname", **query) or ()
    return (*(each["network"] for each in networks), *(each["hostname"] for each in names))
