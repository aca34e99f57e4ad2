"""PostgreSQL run by CloudNativePG: its Cluster, the role's Secret, and who may reach its pods.

Fields, labels and ports are those of the operator's documentation: "Bootstrap", "Networking".
"""

from __future__ import annotations

from typing import Final

from .bundle_files import SECRETS, read_one
from .cluster_file import DatabaseCluster
from .objects import Manifest, build, build_secret
from .storage import Bundle

_LABEL: Final = "cnpg.io/cluster"
# Where the operator asks an instance how it is.
_STATUS_PORT: Final = 8000
# The API server's, behind its Service and on its node; each instance watches its Cluster there.
_API_PORTS: Final = (443, 6443)
# As the operator is installed by its own manifests.
_OPERATOR: Final = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "cnpg-system"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/name": "cloudnative-pg"}},
}


def build_database(bundle: Bundle) -> list[Manifest]:
    """Return what makes the database, nothing where no operator runs it."""
    plan = bundle.cluster.postgresql
    if plan is None:
        return []
    namespace = bundle.cluster.namespace
    password = read_one(bundle.files, f"{SECRETS}{plan.password}").removesuffix(b"\n")
    account = {"username": plan.owner.encode(), "password": password}
    return [
        build_secret(_name_account(plan), namespace, account, "kubernetes.io/basic-auth"),
        _build_cluster(plan, namespace),
        _build_policy(bundle, plan),
    ]


def _name_account(plan: DatabaseCluster) -> str:
    return f"{plan.name}-account"


def _build_cluster(plan: DatabaseCluster, namespace: str) -> Manifest:
    """Return the Cluster: what Synapse needs of a database can be said only when it is made."""
    initdb = {
        "database": plan.database,
        "owner": plan.owner,
        "secret": {"name": _name_account(plan)},
        "encoding": "UTF8",
        "localeCollate": "C",
        "localeCType": "C",
        "dataChecksums": True,
    }
    spec = {
        "instances": plan.instances,
        "enableSuperuserAccess": False,
        "bootstrap": {"initdb": initdb},
        "storage": {"size": plan.size},
        "resources": {"limits": {"memory": plan.memory}, "requests": {"memory": plan.memory}},
        "postgresql": {"parameters": dict(plan.parameters)},
    }
    return build("Cluster", "postgresql.cnpg.io/v1", plan.name, namespace, spec=spec)


def _build_policy(bundle: Bundle, plan: DatabaseCluster) -> Manifest:
    """Return who may reach the instances: Synapse's network, the operator, one another."""
    selector = {"podSelector": {"matchLabels": {_LABEL: plan.name}}}
    clients = [
        {"podSelector": {"matchLabels": {f"network/{network}": "true"}}}
        for network, outside in bundle.cluster.outside.items()
        if outside.pods.get(_LABEL) == plan.name
    ]
    both = _open(plan.port, _STATUS_PORT)
    spec = {
        **selector,
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {"from": clients, "ports": _open(plan.port)},
            {"from": [_OPERATOR, selector], "ports": both},
        ],
        "egress": [{"to": [selector], "ports": both}, {"ports": _open(*_API_PORTS)}],
    }
    name = f"{plan.name}-instances"
    return build("NetworkPolicy", "networking.k8s.io/v1", name, bundle.cluster.namespace, spec=spec)


def _open(*ports: int) -> list[Manifest]:
    return [{"port": port, "protocol": "TCP"} for port in ports]
