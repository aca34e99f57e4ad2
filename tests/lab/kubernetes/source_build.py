"""Kubernetes' programs, built from the last source package of Debian's that holds all of them.

Some 8 minutes of processor time and 2 GB of disk; what comes out is an archive for `cluster_programs`.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.debian_mirror import find_mirror
from tests.lab.kubernetes.cluster_programs import SERVERS
from tests.lab.packages import open_apt, unpack_packages
from tests.lab.steps import LabError, report, run, time_step

SUITE: Final = "bookworm"
VERSION: Final = "v1.20.2"
REFLECTION: Final = "github.com/modern-go/reflect2"
# Go, and a library that is older in the source than this Go allows.
PACKAGES: Final = ("golang-1.19-go", "golang-1.19-src", "golang-github-modern-go-reflect2-dev")
OPENAPI: Final = "pkg/generated/openapi"
MARK: Final = re.compile(rb"^// *\+k8s:openapi-gen=", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class SourceTree:
    """The unpacked source and its compiler, below a folder that is removed afterwards."""

    folder: Path

    @property
    def kubernetes(self) -> Path:
        """The source, where Go looks for it."""
        return self.folder / "go" / "src" / "k8s.io" / "kubernetes"

    @property
    def packages(self) -> Path:
        """The unpacked packages."""
        return self.folder / "packages"

    def run(self, *command: str | Path) -> None:
        """Run a command in the source, which finds the compiler and builds with it."""
        root = self.packages / "usr/lib/go-1.19"
        environment = {
            **os.environ,
            "PATH": f"{root / 'bin'}:{os.environ['PATH']}",
            "GOPATH": str(self.folder / "go"),
            "GOCACHE": str(self.folder / "cache"),
            "GOROOT": str(root),
            "GO111MODULE": "off",
            "CGO_ENABLED": "0",
        }
        run(command, environment=environment, folder=self.kubernetes, timeout=7200)


def build_archive(archive: Path) -> None:
    """Build the programs and write them into a new archive; raise LabError where that fails."""
    if archive.exists():
        raise LabError(f"{archive} exists already")
    if not shutil.which("dpkg-source"):
        raise LabError("dpkg-source is missing: apt install dpkg-dev")
    with tempfile.TemporaryDirectory(prefix="kubernetes-", dir=archive.parent) as folder:
        tree = SourceTree(folder=Path(folder))
        with time_step("download Kubernetes' source and Go"):
            fetch(tree)
        with time_step("generate what the source lacks"):
            generate(tree)
        with time_step("build Kubernetes"):
            build(tree)
        with time_step(f"write {archive}"):
            write(tree, archive)
    report(f"export SYNAPSE_BUNDLE_KUBERNETES={archive}")


def fetch(tree: SourceTree) -> None:
    """Download and unpack source and compiler side by side with the system."""
    downloads = tree.folder / "downloads"
    downloads.mkdir()
    apt = open_apt(tree.folder / "apt", find_mirror().list_source_packages(SUITE))
    run([*apt, "download", *PACKAGES], folder=downloads)
    run([*apt, "source", "--download-only", "kubernetes"], folder=downloads)
    unpack_packages(downloads, tree.packages)
    description = next(downloads.glob("kubernetes_*.dsc"))
    tree.kubernetes.parent.mkdir(parents=True)
    run(["dpkg-source", "--extract", description, tree.kubernetes])
    newer = tree.packages / "usr/share/gocode/src" / REFLECTION
    older = tree.kubernetes / "vendor" / REFLECTION
    shutil.rmtree(older)
    shutil.copytree(newer, older)


def generate(tree: SourceTree) -> None:
    """Write the one generated file that the package lacks: the schemas that the API server publishes."""
    program = tree.folder / "openapi-gen"
    tree.run("go", "build", "-o", program, "./vendor/k8s.io/kube-openapi/cmd/openapi-gen")
    tree.run(
        *(program, "-O", "zz_generated.openapi", "-p", f"k8s.io/kubernetes/{OPENAPI}"),
        *("-h", "hack/boilerplate/boilerplate.generatego.txt", "-r", tree.folder / "violations"),
        *("-i", ",".join(find_inputs(tree))),
    )


def find_inputs(tree: SourceTree) -> list[str]:
    """Return the packages whose types are marked as part of the API."""
    folders = set()
    for top in ("cmd", "pkg", "staging"):
        for path in (tree.kubernetes / top).rglob("*.go"):
            if MARK.search(path.read_bytes()):
                folders.add(path.parent.relative_to(tree.kubernetes))
    names = sorted(str(folder).replace("staging/src/", "vendor/") for folder in folders)
    return [f"k8s.io/kubernetes/{name}" for name in names]


def build(tree: SourceTree) -> None:
    """Build every program, each with the version that it tells."""
    values = {
        "k8s.io/kubernetes/vendor/k8s.io/component-base/version.gitVersion": VERSION,
        "k8s.io/kubernetes/vendor/k8s.io/component-base/version.gitMajor": "1",
        "k8s.io/kubernetes/vendor/k8s.io/component-base/version.gitMinor": "20",
        "k8s.io/kubernetes/vendor/k8s.io/component-base/version.gitTreeState": "clean",
        "k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version.gitVersion": VERSION,
    }
    flags = " ".join(["-s -w", *(f"-X {name}={value}" for name, value in values.items())])
    (tree.folder / "bin").mkdir()
    commands = [f"./cmd/{name}" for name in SERVERS]
    tree.run("go", "build", "-ldflags", flags, "-o", f"{tree.folder / 'bin'}/", *commands)


def write(tree: SourceTree, archive: Path) -> None:
    """Write the archive, which is there whole or not at all."""
    half = tree.folder / "archive"
    with tarfile.open(half, "w:gz", compresslevel=1) as tar:
        for name in SERVERS:
            tar.add(tree.folder / "bin" / name, arcname=name)
    half.rename(archive)
