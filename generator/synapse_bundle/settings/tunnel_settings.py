"""The `tunnel` block of the settings."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import Annotated, Any, Final

from pydantic import BeforeValidator

from .block import Block
from .names import FileName

_PROVIDER: Final = "cloudflare"
# RFC 1918 and RFC 6598; other nonpublic networks are reserved.
_PRIVATE: Final = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
)


def _parse_subnet(value: Any) -> IPv4Network:
    try:
        subnet = IPv4Network(value if isinstance(value, str) else "")
    except ValueError:
        raise ValueError("is not an IPv4 network; use for example 10.200.0.0/29") from None
    if not any(map(subnet.subnet_of, _PRIVATE)) or not 16 <= subnet.prefixlen <= 29:
        raise ValueError(
            "must be a network between /16 and /29"
            f" in {', '.join(map(str, _PRIVATE[:-1]))} or {_PRIVATE[-1]}"
        )
    return subnet


def _expand_word(value: Any) -> Any:
    """Return the block that the word `cloudflare` is short for; raises ValueError for another."""
    if not isinstance(value, str):
        return value
    if value != _PROVIDER:
        raise ValueError(f"is not known; write {_PROVIDER}, or a block with `credentials`")
    return {}


class TunnelSettings(Block):
    """The Cloudflare Tunnel through which the world reaches Apache.

    Without `credentials` the credential is the one in the bundle, where `cloudflare apply` and
    `tunnel import` put it.
    """

    credentials: FileName | None = None
    subnet: Annotated[IPv4Network, BeforeValidator(_parse_subnet)] | None = None


TunnelChoice = Annotated[TunnelSettings | None, BeforeValidator(_expand_word)]
