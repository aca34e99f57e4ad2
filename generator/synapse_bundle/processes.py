"""Synapse's processes beside the main one: what each word of `workers` starts, and where.

With `topology` the home of their names and addresses.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import Final


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


@dataclass(frozen=True, kw_only=True)
class ProcessNetworks:
    """The networks of Synapse's workers: two subnets, and the fixed addresses in them.

    In `replication` are the main process, the workers and Valkey; `main` is the main process there,
    and Docker gives the others addresses of `free`. In `pools` are Apache and the workers that it
    gives requests.
    """

    replication: str
    free: str
    main: str
    pools: str
    apache: str


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


def place_process_networks(project: str, tunnel: IPv4Network) -> ProcessNetworks:
    """Return the two /27 of a project's workers; they never overlap with its tunnel's."""
    number = int.from_bytes(hashlib.sha256(f"{project} workers".encode()).digest()[:4])
    blocks = 2 ** (26 - 9)
    first = int(IPv4Network("10.128.0.0/9")[0])
    candidates = (IPv4Network((first + 64 * ((number + n) % blocks), 26)) for n in range(blocks))
    replication, pools = next(c for c in candidates if not c.overlaps(tunnel)).subnets(1)
    return ProcessNetworks(
        replication=str(replication),
        free=str(next(replication.subnets(1))),
        main=str(replication[-2]),
        pools=str(pools),
        apache=str(pools[2]),
    )


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
