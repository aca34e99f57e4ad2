"""Debian packages: those the machine needs, and the engine that is only unpacked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.lab.debian_mirror import find_mirror
from tests.lab.paths import LabPaths
from tests.lab.steps import LabError, run, time_step

# The engine needs runc and iptables of the machine's own release: the newer runc does not
# start on the C library of Debian 12.
TOOLS: Final = {
    "runc": "runc",
    "iptables": "iptables",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "update-ca-certificates": "ca-certificates",
    "xz": "xz-utils",
}
ENGINE: Final = ("docker.io", "containerd", "docker-cli", "docker-compose", "docker-buildx", "tini")
PROGRAMS: Final = {
    "dockerd": "usr/sbin/dockerd",
    "docker": "usr/bin/docker",
    "docker-proxy": "usr/sbin/docker-proxy",
    "docker-init": "usr/bin/tini-static",
    "containerd": "usr/bin/containerd",
    "containerd-shim-runc-v2": "usr/bin/containerd-shim-runc-v2",
}
PLUGINS: Final = ("docker-compose", "docker-buildx")


def find_tool(name: str) -> str | None:
    """Return the path of a system tool, also where PATH lacks the sbin directories."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def install_tools() -> None:
    """Install what is missing of TOOLS with the machine's own apt."""
    missing = sorted(package for tool, package in TOOLS.items() if not find_tool(tool))
    if not missing:
        return
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=300"]
    with time_step(f"install {' '.join(missing)}"):
        run([*apt, "update"], environment=quiet)
        run([*apt, "install", "-y", "--no-install-recommends", *missing], environment=quiet)


def fetch_packages(root: Path, names: Sequence[str]) -> Path:
    """Download packages below `root`/apt; return the directory with their archives."""
    archives = root / "apt" / "packages"
    archives.mkdir(parents=True, exist_ok=True)
    apt = open_apt(root / "apt", find_mirror().list_sources())
    run([*apt, "download", *names], folder=archives)
    return archives


def open_apt(state: Path, lines: Sequence[str]) -> list[str | Path]:
    """Return an up-to-date apt-get of its own, which leaves no trace in the machine's."""
    for folder in (state / "lists" / "partial", state / "cache" / "archives"):
        folder.mkdir(parents=True, exist_ok=True)
    sources, status = state / "sources.list", state / "status"
    sources.write_text("\n".join(lines) + "\n")
    # With the machine's status file apt would insist on the installed release's versions.
    status.write_text("")
    options = {
        "Dir::Etc::sourcelist": sources,
        "Dir::Etc::sourceparts": "-",
        "Dir::State::Lists": state / "lists",
        "Dir::State::status": status,
        "Dir::Cache": state / "cache",
        "APT::Sandbox::User": "root",
    }
    apt: list[str | Path] = ["apt-get", "-q"]
    for key, value in options.items():
        apt += ["-o", f"{key}={value}"]
    run([*apt, "update"])
    return apt


def unpack_packages(archives: Path, target: Path) -> None:
    """Unpack downloaded packages side by side with the system, never into it."""
    half = target.with_suffix(".half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    for archive in sorted(archives.glob("*.deb")):
        run(["dpkg", "-x", archive, half])
    half.rename(target)


def link_engine(paths: LabPaths) -> None:
    """Put the programs into the lab's PATH directory and the plugins where docker looks."""
    paths.bin.mkdir(exist_ok=True)
    paths.plugins.mkdir(parents=True, exist_ok=True)
    links = {paths.bin / name: paths.packages / path for name, path in PROGRAMS.items()}
    for name in PLUGINS:
        links[paths.plugins / name] = find_plugin(paths.packages, name)
    for link, target in links.items():
        if not target.is_file():
            raise LabError(f"{target} is missing: remove {paths.root} and start again")
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def find_plugin(packages: Path, name: str) -> Path:
    """Return the plugin's file; Debian has moved it between lib and libexec."""
    found = sorted(packages.glob(f"usr/lib*/docker/cli-plugins/{name}"))
    return found[0] if found else packages / name


def prepare_engine(paths: LabPaths) -> None:
    """Make the engine's programs available in the lab's directory.

    Raises LabError without root: the daemon needs it for networks and mounts.
    """
    if os.geteuid() != 0:
        raise LabError("the lab needs root; run it as root, or start a Docker Engine of your own")
    install_tools()
    if not paths.packages.is_dir():
        paths.root.mkdir(parents=True, exist_ok=True)
        with time_step("download the engine"):
            archives = fetch_packages(paths.root, ENGINE)
        with time_step("unpack the engine"):
            unpack_packages(archives, paths.packages)
        shutil.rmtree(paths.root / "apt")
    link_engine(paths)
