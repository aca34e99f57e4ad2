"""Synapse's processes beside the main one: what each word of `workers` starts, and where."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import Final

from .networks import ProcessNetworks


@dataclass(frozen=True, kw_only=True)
class Process:
    """One worker: a service of this name, and the `worker_name` that Synapse knows it by.

    `clients` and `servers` say whose requests Apache gives it, at its `address`; `sends` that it
    sends to other servers; `background` that it has the pushers, the background tasks and the
    directory of users, each of which may have one process alone.
    """

    name: str
    clients: bool = False
    servers: bool = False
    sends: bool = False
    background: bool = False
    address: str = ""

    @property
    def serves(self) -> bool:
        """Whether Apache gives it requests."""
        return self.clients or self.servers


_SENDER: Final = Process(name="synapse-federation-sender", sends=True)
PRESETS: Final[Mapping[str, tuple[Process, ...]]] = {
    "none": (),
    "federation": (_SENDER,),
    "small": (
        Process(name="synapse-generic", clients=True, servers=True),
        replace(_SENDER, background=True),
    ),
    "spread": (
        Process(name="synapse-client-1", clients=True),
        Process(name="synapse-client-2", clients=True),
        Process(name="synapse-federation", servers=True),
        _SENDER,
        Process(name="synapse-background", background=True),
    ),
}


def place_processes(preset: str, networks: ProcessNetworks) -> tuple[Process, ...]:
    """Return the processes of a preset; those that Apache gives requests have an address.

    An address, because the name of a container that has stopped is unknown, which Apache takes for
    an error of its own; a refused connection it passes on to the main process.
    """
    # Docker takes the first as the gateway, Apache has the second.
    free = itertools.islice(IPv4Network(networks.pools).hosts(), 2, None)
    return tuple(
        replace(process, address=str(next(free))) if process.serves else process
        for process in PRESETS[preset]
    )
