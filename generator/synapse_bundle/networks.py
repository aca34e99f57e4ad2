"""The subnets of the bundle that are fixed, and the addresses in them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from ipaddress import IPv4Network


@dataclass(frozen=True, kw_only=True)
class TunnelNetwork:
    """The network of cloudflared and Apache: no other container is in it. Addresses are fixed."""

    subnet: str
    cloudflared: str
    apache: str


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


def derive_tunnel_subnet(project: str) -> IPv4Network:
    """Return the /29 of a project's tunnel network.

    Apache must know cloudflared's address beforehand, so the subnet is fixed. It depends on the
    project, so that two bundles on one host do not meet, and lies in the upper half of 10/8, which
    neither Docker's own pools nor most home routers use.
    """
    number = int.from_bytes(hashlib.sha256(project.encode()).digest()[:4])
    return IPv4Network((int(IPv4Network("10.128.0.0/9")[0]) + 8 * (number % 2 ** (29 - 9)), 29))


def place_in_tunnel_network(subnet: IPv4Network) -> TunnelNetwork:
    """Return the second and third usable addresses; Docker takes the first as the gateway."""
    return TunnelNetwork(subnet=str(subnet), cloudflared=str(subnet[2]), apache=str(subnet[3]))


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
