"""Where the node keeps its files, and the addresses it uses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.paths import find_paths

# One name for what exists once on a machine: network namespace, control group, node.
NAME: Final = "synapse-bundle-lab"
NETWORK: Final = Path("/run/netns") / NAME
# Short, because the path of a socket may have 108 characters at most.
RUNTIME: Final = Path("/run/synapse-bundle-lab-kubernetes")
# The link between this machine and the node, in the range for carriers (RFC 6598).
LINK: Final = "sb-lab"
HOST_ADDRESS: Final = "100.64.77.1"
NODE_ADDRESS: Final = "100.64.77.2"
LINK_BITS: Final = 30
PODS: Final = "10.244.0.0/16"
SERVICES: Final = "10.96.0.0/16"
NAMESERVER: Final = "10.96.0.10"
DOMAIN: Final = "cluster.local"
API: Final = f"https://{NODE_ADDRESS}:6443"
# Where the node's programs write whatever they are told: hidden from them, each behind a directory
# of the node's state.
HIDDEN: Final = (
    Path("/run/containerd"),
    Path("/run/netns"),
    Path("/var/lib/cni"),
    Path("/var/lib/kubelet"),
    Path("/var/log/containers"),
    Path("/var/log/pods"),
)


@dataclass(frozen=True, kw_only=True)
class ClusterPaths:
    """The node's two directories: files that stay (`root`), sockets and process id (`runtime`)."""

    root: Path
    runtime: Path = RUNTIME

    @property
    def servers(self) -> Path:
        """Kubernetes' own programs."""
        return self.root / "servers"

    @property
    def packages(self) -> Path:
        """The unpacked Debian packages."""
        return self.root / "packages"

    @property
    def state(self) -> Path:
        """What a run writes: the database, images, volumes, logs; removed with the node."""
        return self.root / "state"

    @property
    def logs(self) -> Path:
        """What each program says."""
        return self.state / "logs"

    @property
    def volumes(self) -> Path:
        """The directories behind persistent volumes."""
        return self.state / "volumes"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's way in."""
        return self.state / "kubeconfig"

    @property
    def certificate(self) -> Path:
        """The API server's own certificate, followed by that of its authority."""
        return self.state / "certificates" / "apiserver.crt"

    @property
    def token(self) -> Path:
        """The administrator's token, as the API server reads it."""
        return self.state / "tokens.csv"

    @property
    def containerd(self) -> Path:
        """The socket of the container runtime."""
        return self.runtime / "containerd.sock"

    @property
    def pid(self) -> Path:
        """The process whose end takes every other one along."""
        return self.runtime / "pid"

    @property
    def before(self) -> Path:
        """What is about to be changed on this machine, as it was."""
        return self.runtime / "before.json"

    def find_substitute(self, place: Path) -> Path:
        """Return the directory that the node's programs see in a place of HIDDEN."""
        return self.state / "hidden" / "-".join(place.parts[1:])

    def list_path(self) -> str:
        """Return PATH for the node's programs."""
        own = [self.servers, self.packages / "usr/bin"]
        return ":".join([*map(str, own), "/usr/sbin:/usr/bin:/sbin:/bin"])

    def read_token(self) -> str:
        """Return the administrator's token."""
        return self.token.read_text().partition(",")[0]


def find_cluster_paths() -> ClusterPaths:
    """Return the node of this repository's lab."""
    return ClusterPaths(root=find_paths().root / "kubernetes")
