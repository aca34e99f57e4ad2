"""The files that the node's programs read."""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING, Any, Final

from tests.lab.kubernetes.cluster_paths import API, DOMAIN, NAME, NAMESERVER, NODE_ADDRESS, PODS
from tests.lab.steps import run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.kubernetes.cluster_paths import ClusterPaths

SANDBOX: Final = "synapse-bundle-lab/sandbox:1"
_CONTAINERD: Final = """\
version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/{sandbox}"
  # Without CAP_SYS_RESOURCE a sandbox may not make itself less likely to be killed.
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugins}"
  conf_dir = "{networks}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""


def name_network(state: Path) -> dict[str, Any]:
    """Return the pods' network: one bridge, an address for each pod."""
    addresses = {
        "type": "host-local",
        "dataDir": str(state / "addresses"),
        "ranges": [[{"subnet": PODS}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": addresses,
    }
    ports = {"type": "portmap", "capabilities": {"portMappings": True}}
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}


def describe_kubelet(state: Path) -> dict[str, Any]:
    """Return the kubelet's configuration."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": NODE_ADDRESS,
        # Only pods of this node can reach it.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{NAME}",
        "clusterDNS": [NAMESERVER],
        "clusterDomain": DOMAIN,
        "resolvConf": str(state / "resolv.conf"),
        "failSwapOn": False,
        # In the safe set since Kubernetes 1.22.
        "allowedUnsafeSysctls": ["net.ipv4.ip_unprivileged_port_start"],
        # A full disk of the machine is no reason to remove images that no registry has.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%"},
        # How late a changed Secret reaches its pods; a minute by default.
        "syncFrequency": "5s",
        # The defaults since Kubernetes 1.27; with those of 1.20 the first pods wait seconds for volumes.
        "kubeAPIQPS": 50,
        "kubeAPIBurst": 100,
        "eventRecordQPS": 50,
        "eventBurst": 100,
        "nodeStatusUpdateFrequency": "2s",
    }


def write_kubeconfig(paths: ClusterPaths) -> None:
    """Write the administrator's way in, which the node's own programs share."""
    cluster = {"server": API, "certificate-authority": str(paths.certificate)}
    configuration = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": paths.read_token()}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": "admin"}}],
        "current-context": NAME,
    }
    paths.kubeconfig.touch(mode=0o600)
    paths.kubeconfig.write_text(json.dumps(configuration))


def write_configuration(paths: ClusterPaths) -> None:
    """Write all files of a new node."""
    state = paths.state
    for folder in (paths.logs, paths.volumes, state / "networks", paths.certificate.parent):
        folder.mkdir(parents=True)
    paths.token.touch(mode=0o600)
    paths.token.write_text(f"{secrets.token_hex(32)},admin,admin,system:masters\n")
    write_kubeconfig(paths)
    run(["openssl", "genrsa", "-out", state / "accounts.key", "2048"])
    run(
        ["openssl", "rsa", "-in", state / "accounts.key", "-pubout", "-out", state / "accounts.pub"]
    )
    (state / "networks" / "pods.conflist").write_text(json.dumps(name_network(state)))
    (state / "kubelet.json").write_text(json.dumps(describe_kubelet(state)))
    # Names outside the cluster lead nowhere.
    (state / "resolv.conf").write_text("")
    (state / "containerd.toml").write_text(
        _CONTAINERD.format(
            root=state / "containerd",
            state=paths.runtime / "containerd",
            socket=paths.containerd,
            sandbox=SANDBOX,
            plugins=paths.packages / "usr/lib/cni",
            networks=state / "networks",
        )
    )
