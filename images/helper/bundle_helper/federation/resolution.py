"""Where other servers connect to, and what they ask for there: server discovery, steps 1 to 6.

https://spec.matrix.org/latest/server-server-api/#resolving-server-names
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from . import delegation
from .delegation import Delegation
from .lookup import Host, SrvRecords, find_host, find_srv_records, find_target
from .network import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .names import ServerName
    from .network import Network

_MATRIX_PORT: Final = 8448


@dataclass(frozen=True, kw_only=True)
class Destination:
    """`host` is the Host header, and its name or address is what the certificate must carry.

    `srv` is None where no SRV record may be looked for.
    """

    host: ServerName
    srv: SrvRecords | None
    hosts: Mapping[str, Host]
    places: tuple[Place, ...]


def delegate(name: ServerName, network: Network) -> Delegation:
    """Take step 3: only a name without a port may be delegated."""
    if name.is_address or name.port:
        reason = "is an IP address" if name.is_address else "has a port"
        return Delegation(absent=f"not asked for, because {name} {reason}")
    return delegation.fetch(name.host, network)


def find_destination(host: ServerName, network: Network) -> Destination:
    """Take the other steps, which are the same for a server name and for what it delegates to."""
    if host.is_address:
        places = (Place(host.host, host.port or _MATRIX_PORT),)
        return Destination(host=host, srv=None, hosts={}, places=places)
    if host.port:
        found = {host.host: find_host(host.host, network.resolver)}
        return _destination(host, None, found, [(host.host, host.port)])
    srv = find_srv_records(host.host, network.resolver)
    if not srv.records:
        found = {host.host: find_host(host.host, network.resolver)}
        return _destination(host, srv, found, [(host.host, _MATRIX_PORT)])
    found = {r.target: find_target(r, network.resolver) for r in srv.records}
    return _destination(host, srv, found, [(r.target, r.port) for r in srv.records])


def _destination(
    host: ServerName,
    srv: SrvRecords | None,
    hosts: Mapping[str, Host],
    ports: Iterable[tuple[str, int]],
) -> Destination:
    places = (Place(address, port) for name, port in ports for address in hosts[name].addresses)
    return Destination(host=host, srv=srv, hosts=hosts, places=tuple(dict.fromkeys(places)))
