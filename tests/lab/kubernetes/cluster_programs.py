"""The node's programs: Kubernetes' own from an archive, the others from Debian's packages."""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.lab.packages import fetch_packages, install_tools, unpack_packages
from tests.lab.steps import LabError, time_step

if TYPE_CHECKING:
    from tests.lab.kubernetes.cluster_paths import ClusterPaths

VARIABLE: Final = "SYNAPSE_BUNDLE_KUBERNETES"
SERVERS: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)
PACKAGES: Final = ("etcd-server", "containerd", "containernetworking-plugins")


def find_archive() -> Path:
    """Return the archive that the variable names; raise LabError where it names none."""
    named = os.environ.get(VARIABLE, "")
    if not named:
        raise LabError(f"{VARIABLE} names no archive of Kubernetes' programs")
    if not Path(named).is_file():
        raise LabError(f"{VARIABLE} names no file: {named}")
    return Path(named)


def verify(archive: Path) -> None:
    """Compare an archive with the SHA256SUMS beside it; raise LabError when it differs."""
    sums = archive.parent / "SHA256SUMS"
    lines = sums.read_text().splitlines() if sums.is_file() else []
    known = {name.lstrip("*"): digest for digest, name in (line.split() for line in lines if line)}
    if archive.name not in known:
        return
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != known[archive.name]:
        raise LabError(f"{archive} is not the file that {sums} describes")


def unpack_servers(archive: Path, target: Path) -> None:
    """Unpack Kubernetes' programs, wherever in the archive they lie."""
    half = target.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.isfile() and Path(member.name).name in SERVERS:
                member.name = Path(member.name).name
                tar.extract(member, half, filter="tar")
    missing = [name for name in SERVERS if not (half / name).is_file()]
    if missing:
        raise LabError(f"{archive} lacks {', '.join(missing)}")
    half.rename(target)


def prepare_programs(paths: ClusterPaths) -> None:
    """Make every program of the node available in its directory; only the first time takes long.

    Raises LabError without root, or without the archive where the programs are not there yet.
    """
    if os.geteuid() != 0:
        raise LabError("a Kubernetes node needs root; name a cluster of your own in KUBECONFIG")
    install_tools()
    if not paths.servers.is_dir():
        archive = find_archive()
        with time_step("unpack Kubernetes"):
            verify(archive)
            unpack_servers(archive, paths.servers)
    if not paths.packages.is_dir():
        with time_step(f"download {' '.join(PACKAGES)}"):
            archives = fetch_packages(paths.root, PACKAGES)
        unpack_packages(archives, paths.packages)
        shutil.rmtree(paths.root / "apt")
