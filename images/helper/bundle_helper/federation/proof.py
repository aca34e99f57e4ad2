"""The whole proof of a server name: found, reached, certified, and signing with its own keys."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ..concurrency import run_at_once
from .delegation import WellKnown
from .faults import Fault, explain_error
from .resolution import Destination, delegate, find_destination
from .server import Connection, Version, ask_version, visit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .names import ServerName
    from .network import Network, Place

_Result = TypeVar("_Result")
# Each of the four stages; a whole proof takes less than a minute and a half.
_STAGE_SECONDS = 20.0
# Each address takes a thread; no name that is meant well has so many.
_MOST_PLACES = 32


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Everything that was found; `destination` is None where the way was lost before."""

    name: ServerName
    wellknown: WellKnown
    destination: Destination | None
    destination_fault: Fault | None
    connections: Mapping[Place, Connection]
    faults: Mapping[Place, Fault]
    version: Version

    @property
    def ok(self) -> bool:
        """Whether other servers find it, believe it and can read its keys at every address.

        An address that only this machine has no way to is left out, if another one answers.
        """
        return (
            bool(self.connections)
            and self.destination_fault is None
            and all(connection.ok for connection in self.connections.values())
            and all(fault.no_way for fault in self.faults.values())
            and self.version.fault is None
        )


def prove(name: ServerName, network: Network, patience: float = _STAGE_SECONDS) -> Proof:
    """Look for a server as another one does; whatever is wrong is in the proof.

    Each of the four stages may take `patience` seconds.
    """
    found = _in_time(partial(delegate, name, network), f"https://{name}", patience)
    wellknown = WellKnown(fault=found) if isinstance(found, Fault) else found
    if wellknown.told and wellknown.delegate is None:
        # Homeservers follow it into the void, and do not fall back.
        return _unfinished(name, wellknown, wellknown.fault)
    host = wellknown.delegate or name
    reached = _in_time(partial(find_destination, host, network), f"DNS for {host}", patience)
    if isinstance(reached, Fault):
        return _unfinished(name, wellknown, reached)
    connections, faults = _visit_all(name, reached, network, patience)
    return Proof(
        name=name,
        wellknown=wellknown,
        destination=reached,
        destination_fault=_find_fault(reached),
        connections=connections,
        faults=faults,
        version=_find_version(reached, connections, network, patience),
    )


def _in_time(errand: Callable[[], _Result], what: str, patience: float) -> _Result | Fault:
    (result,) = run_at_once([errand], patience)
    return explain_error(result, what) if isinstance(result, Exception) else result


def _unfinished(name: ServerName, wellknown: WellKnown, fault: Fault | None) -> Proof:
    return Proof(
        name=name,
        wellknown=wellknown,
        destination=None,
        destination_fault=fault,
        connections={},
        faults={},
        version=Version(),
    )


def _find_fault(destination: Destination) -> Fault | None:
    """Return what is wrong with the addresses; one good host does not excuse a bad one."""
    service = destination.service
    faults = [service.fault] if service and service.fault else []
    faults += [host.fault for host in destination.hosts.values() if host.fault]
    return faults[0] if faults else None


def _visit_all(
    name: ServerName, destination: Destination, network: Network, patience: float
) -> tuple[dict[Place, Connection], dict[Place, Fault]]:
    tried, left = destination.places[:_MOST_PLACES], destination.places[_MOST_PLACES:]
    errands = [partial(visit, place, destination.host, name, network) for place in tried]
    connections: dict[Place, Connection] = {}
    faults = {place: _fault_of_crowd(place) for place in left}
    for place, result in zip(tried, run_at_once(errands, patience), strict=True):
        if isinstance(result, Exception):
            faults[place] = explain_error(result, str(place))
        else:
            connections[place] = result
    return connections, faults


def _fault_of_crowd(place: Place) -> Fault:
    return Fault(
        told=f"{place} was not tried: there are more than {_MOST_PLACES} addresses",
        cause="DNS names more addresses than a server needs",
        next_step="name fewer",
    )


def _find_version(
    destination: Destination,
    connections: Mapping[Place, Connection],
    network: Network,
    patience: float,
) -> Version:
    believed = [place for place, c in connections.items() if c.certificate_fault is None]
    if not believed:
        fault = Fault(
            told="not asked for: no address has a certificate that is believed",
            cause="the faults above",
            next_step="mend those first",
        )
        return Version(fault=fault)
    errand = partial(ask_version, believed[0], destination.host, network)
    version = _in_time(errand, str(believed[0]), patience)
    return Version(fault=version) if isinstance(version, Fault) else version
