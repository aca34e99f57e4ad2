"""What CloudNativePG's operator makes of a Cluster, as far as a bundle sees it, where there is no operator.

One instance, reached by TLS alone, the Service that leads to the primary, and the Secret with the root, by the
names and labels that the operator gives them.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import trustme

from synapse_bundle import images
from tests.lab.kubernetes.cluster import load_images
from tests.lab.kubernetes.cluster_paths import find_cluster_paths
from tests.support.kubernetes import Cluster

GROUP: Final = "postgresql.cnpg.io"
_PLURAL: Final = "clusters"
_IMAGE: Final = images.read_pins()["postgres"].reference
# The user of PostgreSQL's image.
_USER: Final = 999
_ACCESS: Final = "local all all trust\nhostssl all all all scram-sha-256\n"
# What it takes of a Cluster is held against the operator's own definition by tests/kubernetes.
_KIND: Final[dict[str, Any]] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"{_PLURAL}.{GROUP}"},
    "spec": {
        "group": GROUP,
        "names": {"kind": "Cluster", "plural": _PLURAL},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


@contextmanager
def define_kind(cluster: Cluster) -> Iterator[bool]:
    """Have the kind Cluster inside; return whether an operator is there, which is used then."""
    name = _KIND["metadata"]["name"]
    if cluster.try_kubectl("get", f"crd/{name}").returncode == 0:
        yield True
        return
    cluster.apply(_KIND)
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{name}")
    try:
        yield False
    finally:
        cluster.kubectl("delete", "crd", name)


def run_instance(cluster: Cluster, name: str) -> None:
    """Make what a Cluster asks for."""
    spec = cluster.get(f"{_PLURAL}.{GROUP}/{name}")["spec"]
    account = _read(cluster, spec["bootstrap"]["initdb"]["secret"]["name"])
    authority = trustme.CA()
    certificate = authority.issue_cert(f"{name}-rw", f"{name}-rw.{cluster.namespace}.svc")
    if cluster.is_lab:
        load_images(find_cluster_paths(), [_IMAGE])
    cluster.apply(
        _keep(f"{name}-ca", {"ca.crt": authority.cert_pem.bytes()}),
        _keep(
            f"{name}-server",
            {
                "tls.crt": b"".join(blob.bytes() for blob in certificate.cert_chain_pems),
                "tls.key": certificate.private_key_pem.bytes(),
                "access": _ACCESS.encode(),
                "password": secrets.token_hex(16).encode(),
            },
        ),
        _keep(f"{name}-start", {"start.sql": _write_start(spec, account).encode()}),
        _lead_to(name),
        _run(name, spec),
    )


def is_double(cluster: Cluster, name: str) -> bool:
    """Return whether a Cluster is run by this double."""
    return cluster.try_kubectl("get", f"secret/{name}-start").returncode == 0


def read_root(cluster: Cluster, name: str) -> bytes:
    """Return the certificate that proves its instances."""
    return _read(cluster, f"{name}-ca")["ca.crt"].encode()


def write_root(cluster: Cluster, name: str, root: bytes) -> None:
    """Give another one to those who have to prove its instances."""
    cluster.apply(_keep(f"{name}-ca", {"ca.crt": root}))


def ask_instance(cluster: Cluster, name: str, question: str) -> str:
    """Return what its superuser is answered in Synapse's database."""
    asked = ("psql", "--username=postgres", "--tuples-only", "--no-align", "synapse")
    return cluster.kubectl("exec", f"{name}-1", "--", *asked, f"--command={question}").strip()


def _read(cluster: Cluster, name: str) -> dict[str, str]:
    data = cluster.get(f"secret/{name}")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def _keep(name: str, files: dict[str, bytes]) -> dict[str, Any]:
    data = {key: base64.b64encode(content).decode() for key, content in files.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def _write_start(spec: Any, account: dict[str, str]) -> str:
    wanted = spec["bootstrap"]["initdb"]
    assert wanted["owner"] == account["username"]
    return (
        f"CREATE ROLE {wanted['owner']} LOGIN PASSWORD '{account['password']}';\n"
        f"CREATE DATABASE {wanted['database']} OWNER {wanted['owner']} TEMPLATE template0"
        f" ENCODING '{wanted['encoding']}' LC_COLLATE '{wanted['localeCollate']}'"
        f" LC_CTYPE '{wanted['localeCType']}';\n"
    )


def _label(name: str) -> dict[str, str]:
    return {"cnpg.io/cluster": name, "cnpg.io/instanceRole": "primary"}


def _lead_to(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{name}-rw"},
        "spec": {"selector": _label(name), "ports": [{"port": 5432, "targetPort": 5432}]},
    }


def _run(name: str, spec: Any) -> dict[str, Any]:
    parameters = {
        **spec["postgresql"]["parameters"],
        "ssl": "on",
        "ssl_cert_file": "/server/tls.crt",
        "ssl_key_file": "/server/tls.key",
        "hba_file": "/server/access",
    }
    environment = {"PGDATA": "/data/pgdata", "POSTGRES_PASSWORD_FILE": "/server/password"}
    mounts = {"data": "/data", "server": "/server", "start": "/docker-entrypoint-initdb.d"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{name}-1", "labels": _label(name)},
        "spec": {
            "securityContext": {"runAsUser": _USER, "runAsGroup": _USER, "fsGroup": _USER},
            "containers": [
                {
                    "name": "postgres",
                    "image": _IMAGE,
                    "args": [f"--{key}={value}" for key, value in sorted(parameters.items())],
                    "env": [{"name": key, "value": environment[key]} for key in environment],
                    "resources": spec["resources"],
                    "volumeMounts": [
                        {"name": volume, "mountPath": path} for volume, path in mounts.items()
                    ],
                    "readinessProbe": {"tcpSocket": {"port": 5432}, "periodSeconds": 1},
                }
            ],
            "volumes": [
                {"name": "data", "emptyDir": {}},
                {
                    "name": "server",
                    "secret": {"secretName": f"{name}-server", "defaultMode": 0o440},
                },
                {"name": "start", "secret": {"secretName": f"{name}-start"}},
            ],
        },
    }
