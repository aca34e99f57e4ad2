"""Compose networks -> policies: who may speak with whom."""

from __future__ import annotations

from .cluster_file import Outside
from .objects import Manifest, build
from .storage import Bundle, find_networks

_EVERYWHERE = ("0.0.0.0/0", "::/0")
_BOTH = ["Ingress", "Egress"]


def build_policies(bundle: Bundle) -> list[Manifest]:
    """Return one policy for each network, and one that leaves nothing but DNS to every pod."""
    services = [service for pod in bundle.pods for service in bundle.members(pod)]
    dns = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    namespace = bundle.cluster.namespace
    closed = {"podSelector": {}, "policyTypes": _BOTH, "egress": [{"ports": dns}]}
    made = [build("NetworkPolicy", "networking.k8s.io/v1", "default", namespace, spec=closed)]
    for network in find_networks(bundle, services):
        members = {"podSelector": {"matchLabels": {f"network/{network}": "true"}}}
        egress: list[Manifest] = [{"to": [members]}]
        outside = bundle.cluster.outside.get(network)
        if outside:
            egress.append(_lead_to(outside))
        elif not bundle.model.networks[network]:
            egress.append({"to": [{"ipBlock": {"cidr": cidr}} for cidr in _EVERYWHERE]})
        ingress = [{"from": [members], "ports": _list_ports(bundle, network)}]
        spec = {**members, "policyTypes": _BOTH, "ingress": ingress, "egress": egress}
        made.append(build("NetworkPolicy", "networking.k8s.io/v1", network, namespace, spec=spec))
    return made


def _lead_to(outside: Outside) -> Manifest:
    """Return the rule for what is beyond a network's members."""
    # Some network plugins count no pod among the addresses: it may be in another namespace.
    peers: list[Manifest] = [{"ipBlock": {"cidr": cidr}} for cidr in _EVERYWHERE]
    peers.append({"namespaceSelector": {}})
    if outside.pods:
        peers = [{"podSelector": {"matchLabels": dict(outside.pods)}}]
    return {"to": peers, "ports": [{"port": outside.port, "protocol": "TCP"}]}


def _list_ports(bundle: Bundle, network: str) -> list[Manifest]:
    """Return the ports that a network's members serve in it."""
    members = [s.name for s in bundle.model.services.values() if network in s.networks]
    hints = [bundle.cluster.hint(name) for name in members]
    ports = {hint.port for hint in hints} | {hint.private.get(network, 0) for hint in hints}
    return [{"port": port, "protocol": "TCP"} for port in sorted(ports - {0})]
