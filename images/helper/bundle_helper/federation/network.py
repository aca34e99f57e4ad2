"""What the proof needs of the network: names to addresses, addresses to connections, and trust."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import dns.exception
import dns.resolver

from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable

PUBLIC: Final = "public roots"
_LOOKUP_SECONDS: Final = 5.0


class Place(NamedTuple):
    """An IP address and a port."""

    address: str
    port: int

    def __str__(self) -> str:
        """Return `address:port`, with brackets around an IPv6 address."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class Trust:
    """Roots to which a certificate may lead, and what they are called."""

    name: str
    context: ssl.SSLContext


@dataclass(frozen=True, kw_only=True)
class Network:
    """A resolver, a way to connect within seconds, and the roots to trust, in this order."""

    resolver: dns.resolver.Resolver
    dial: Callable[[Place, float], socket.socket]
    trusts: tuple[Trust, ...]


def open_network(*more: Trust) -> Network:
    """Return this machine's own resolver and sockets, and the public roots before any others.

    HelperError if this machine does not name a resolver.
    """
    try:
        resolver = dns.resolver.Resolver()
    except dns.exception.DNSException as error:
        raise HelperError(
            "/etc/resolv.conf does not name a resolver; check Docker's DNS"
        ) from error
    resolver.lifetime = _LOOKUP_SECONDS
    return Network(resolver=resolver, dial=_dial, trusts=(trust(PUBLIC), *more))


def _dial(place: Place, seconds: float) -> socket.socket:
    """Connect; OSError passes through."""
    return socket.create_connection((place.address, place.port), seconds)


def trust(name: str, *roots: str) -> Trust:
    """Return the public roots, and those in PEM; HelperError if that does not hold a certificate."""
    context = new_context()
    context.load_default_certs()
    for pem in roots:
        try:
            context.load_verify_locations(cadata=pem)
        except (ssl.SSLError, ValueError) as error:
            raise HelperError(f"{name} does not hold a certificate in PEM") from error
    return Trust(name=name, context=context)


def new_context() -> ssl.SSLContext:
    """Return a context that verifies as other servers do, without a root yet.

    Not ssl.create_default_context: it asks for more than a homeserver does from Python 3.13 on.
    A name must be among the alternative names (RFC 9525); a common name does not count.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.hostname_checks_common_name = False
    return context
