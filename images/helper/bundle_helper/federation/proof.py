"""The whole proof of a server name: found, reached, certified, and signing with its own keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from ..concurrency import run_all
from .delegation import Delegation
from .faults import Fault, explain_error
from .resolution import Destination, delegate, find_destination
from .server import ServerConnection, Version, ask_version, visit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .names import ServerName
    from .network import Network, Place

_Result = TypeVar("_Result")
# Each of the four stages; a whole proof takes less than a minute and a half.
_STAGE_SECONDS: Final = 20.0
# Each address takes a thread; no honest name has so many.
_MOST_PLACES: Final = 32


@dataclass(frozen=True, kw_only=True)
class FederationProof:
    """Everything that was found; `destination` is None where the search ended before it."""

    name: ServerName
    delegation: Delegation
    destination: Destination | None
    destination_fault: Fault | None
    connections: Mapping[Place, ServerConnection]
    faults: Mapping[Place, Fault]
    version: Version

    @property
    def ok(self) -> bool:
        """Whether other servers find it, trust it and can read its keys at every address.

        An address that only this machine cannot reach is left out, if another one answers.
        """
        return (
            bool(self.connections)
            and self.destination_fault is None
            and all(connection.ok for connection in self.connections.values())
            and all(fault.no_way for fault in self.faults.values())
            and self.version.fault is None
        )


def prove(name: ServerName, network: Network, patience: float = _STAGE_SECONDS) -> FederationProof:
    """Look for a server as another one does; anything wrong is in the proof.

    Each of the four stages may take `patience` seconds.
    """
    found = _call_in_time(partial(delegate, name, network), f"https://{name}", patience)
    delegation = Delegation(fault=found) if isinstance(found, Fault) else found
    if delegation.m_server and delegation.delegate is None:
        # Homeservers do not fall back from a value that they cannot follow.
        return _unfinished(name, delegation, delegation.fault)
    host = delegation.delegate or name
    reached = _call_in_time(partial(find_destination, host, network), f"DNS for {host}", patience)
    if isinstance(reached, Fault):
        return _unfinished(name, delegation, reached)
    connections, faults = _visit_all(name, reached, network, patience)
    return FederationProof(
        name=name,
        delegation=delegation,
        destination=reached,
        destination_fault=_find_fault(reached),
        connections=connections,
        faults=faults,
        version=_find_version(reached, connections, network, patience),
    )


def _call_in_time(call: Callable[[], _Result], what: str, patience: float) -> _Result | Fault:
    (result,) = run_all([call], patience)
    return explain_error(result, what) if isinstance(result, Exception) else result


def _unfinished(name: ServerName, delegation: Delegation, fault: Fault | None) -> FederationProof:
    return FederationProof(
        name=name,
        delegation=delegation,
        destination=None,
        destination_fault=fault,
        connections={},
        faults={},
        version=Version(),
    )


def _find_fault(destination: Destination) -> Fault | None:
    """Return what is wrong with the addresses; one good host does not excuse a bad one."""
    srv = destination.srv
    faults = [srv.fault] if srv and srv.fault else []
    faults += [host.fault for host in destination.hosts.values() if host.fault]
    return faults[0] if faults else None


def _visit_all(
    name: ServerName, destination: Destination, network: Network, patience: float
) -> tuple[dict[Place, ServerConnection], dict[Place, Fault]]:
    tried, left = destination.places[:_MOST_PLACES], destination.places[_MOST_PLACES:]
    calls = [partial(visit, place, destination.host, name, network) for place in tried]
    connections: dict[Place, ServerConnection] = {}
    faults = {place: _too_many_addresses(place) for place in left}
    for place, result in zip(tried, run_all(calls, patience), strict=True):
        if isinstance(result, Exception):
            faults[place] = explain_error(result, str(place))
        else:
            connections[place] = result
    return connections, faults


def _too_many_addresses(place: Place) -> Fault:
    return Fault(
        detail=f"{place} was not tried: there are more than {_MOST_PLACES} addresses",
        cause="DNS names more addresses than a server needs",
        next_step="name fewer",
    )


def _find_version(
    destination: Destination,
    connections: Mapping[Place, ServerConnection],
    network: Network,
    patience: float,
) -> Version:
    trusted = [place for place, c in connections.items() if c.certificate_fault is None]
    if not trusted:
        fault = Fault(
            detail="not asked for: no address has a trusted certificate",
            cause="the faults above",
            next_step="fix those first",
        )
        return Version(fault=fault)
    call = partial(ask_version, trusted[0], destination.host, network)
    version = _call_in_time(call, str(trusted[0]), patience)
    return Version(fault=version) if isinstance(version, Fault) else version
