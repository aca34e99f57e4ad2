"""The command line of each program of the node."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from tests.lab.kubernetes.cluster_paths import API, NAME, NODE_ADDRESS, PODS, SERVICES

if TYPE_CHECKING:
    from tests.lab.kubernetes.cluster_paths import ClusterPaths

_ETCD: Final = "http://127.0.0.1:2379"


def list_first(paths: ClusterPaths) -> dict[str, list[str]]:
    """Return what needs nothing else: the database, the API server, the container runtime."""
    state = paths.state
    return {
        "etcd": [
            "etcd",
            f"--data-dir={state / 'etcd'}",
            f"--listen-client-urls={_ETCD}",
            f"--advertise-client-urls={_ETCD}",
            "--listen-peer-urls=http://127.0.0.1:2380",
            # Nothing of it outlives the node.
            "--unsafe-no-fsync",
        ],
        "containerd": ["containerd", f"--config={state / 'containerd.toml'}"],
        "kube-apiserver": [
            "kube-apiserver",
            f"--etcd-servers={_ETCD}",
            f"--advertise-address={NODE_ADDRESS}",
            f"--cert-dir={paths.certificate.parent}",
            f"--service-account-issuer={API}",
            f"--service-account-signing-key-file={state / 'accounts.key'}",
            f"--service-account-key-file={state / 'accounts.pub'}",
            f"--service-cluster-ip-range={SERVICES}",
            f"--token-auth-file={paths.token}",
            "--authorization-mode=Node,RBAC",
            "--allow-privileged",
            # By name it would ask a resolver for the node.
            "--kubelet-preferred-address-types=InternalIP",
        ],
    }


def list_others(paths: ClusterPaths) -> dict[str, list[str]]:
    """Return what needs an API server that is ready."""
    state = paths.state
    kubeconfig = f"--kubeconfig={paths.kubeconfig}"
    return {
        "kube-controller-manager": [
            "kube-controller-manager",
            kubeconfig,
            "--leader-elect=false",
            f"--service-account-private-key-file={state / 'accounts.key'}",
            f"--root-ca-file={paths.certificate}",
        ],
        "kube-scheduler": ["kube-scheduler", kubeconfig, "--leader-elect=false"],
        "kubelet": [
            "kubelet",
            kubeconfig,
            f"--config={state / 'kubelet.json'}",
            f"--root-dir={state / 'kubelet'}",
            f"--cert-dir={state / 'kubelet-certificates'}",
            "--container-runtime=remote",
            f"--container-runtime-endpoint=unix://{paths.containerd}",
            f"--hostname-override={NAME}",
            f"--node-ip={NODE_ADDRESS}",
        ],
        "kube-proxy": [
            "kube-proxy",
            kubeconfig,
            "--proxy-mode=iptables",
            f"--cluster-cidr={PODS}",
            f"--hostname-override={NAME}",
            # The machine's own limits stay.
            "--conntrack-max-per-core=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ],
        "volumes": [sys.executable, "-m", "tests.lab.kubernetes", "volumes", str(paths.root)],
        "names": [sys.executable, "-m", "tests.lab.kubernetes", "names", str(paths.root)],
    }
