"""A Kubernetes cluster, through kubectl."""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.lab.kubernetes.cluster_paths import find_cluster_paths
from tests.lab.kubernetes.cluster_programs import VARIABLE
from tests.support.processes import run
from tests.support.waiting import PATIENCE

if TYPE_CHECKING:
    import subprocess

# The usual variable of kubectl: a cluster that it names is used instead of the lab's node.
KUBECONFIG: Final = "KUBECONFIG"
# kubectl comes from the package index, beside this interpreter.
KUBECTL: Final = Path(sys.executable).with_name("kubectl")


@functools.cache
def find_fault() -> str:
    """Return one line on why no test can use a cluster here, or nothing."""
    if not KUBECTL.is_file():
        return f"{KUBECTL} is missing"
    if os.environ.get(KUBECONFIG):
        return ""
    if not is_required():
        return f"{KUBECONFIG} names no cluster, and {VARIABLE} no archive of Kubernetes' programs"
    if not Path(os.environ[VARIABLE]).is_file():
        return f"{VARIABLE} names no file: {os.environ[VARIABLE]}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return "a node of the lab needs Debian and root"
    return ""


def is_required() -> bool:
    """Return whether a missing cluster is a failure, as it is where the programs are at hand."""
    return bool(os.environ.get(VARIABLE))


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster and one of its namespaces."""

    kubeconfig: Path
    namespace: str = "default"

    @property
    def is_lab(self) -> bool:
        """Whether this is the lab's node, which has no registry and gets its images from here."""
        return self.kubeconfig == find_cluster_paths().kubeconfig

    def find_minor(self) -> int:
        """Return the server's version within Kubernetes 1, such as 20."""
        version = json.loads(self.kubectl("version", "--output=json"))["serverVersion"]
        return int(version["gitVersion"].split(".")[1])

    def enter(self, namespace: str) -> Cluster:
        """Return the same cluster in another namespace."""
        return Cluster(kubeconfig=self.kubeconfig, namespace=namespace)

    def try_kubectl(
        self, *arguments: str, text: str | None = None, timeout: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl, whatever its exit code."""
        words = [str(KUBECTL), f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}"]
        return run([*words, *arguments], check=False, text=text, timeout=timeout)

    def kubectl(self, *arguments: str, text: str | None = None, timeout: float = PATIENCE) -> str:
        """Run kubectl, which must succeed, and return what it printed."""
        done = self.try_kubectl(*arguments, text=text, timeout=timeout)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout

    def apply(self, *objects: dict[str, Any]) -> str:
        """Apply objects."""
        listing = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self.kubectl("apply", "--filename=-", text=json.dumps(listing))

    def get(self, *arguments: str) -> Any:
        """Return an object, or a list of them, as the API server has it."""
        return json.loads(self.kubectl("get", "--output=json", *arguments))

    def wait(self, condition: str, *names: str, patience: int = PATIENCE) -> None:
        """Wait until objects have a condition; fails after `patience` seconds."""
        self.kubectl(
            "wait", f"--for={condition}", f"--timeout={patience}s", *names, timeout=patience + 30
        )
