"""Where the lab keeps its files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
VARIABLE: Final = "SYNAPSE_BUNDLE_LAB"
# One engine at a time may write the machine's packet filter, so there is one place for
# its sockets. It is short because the path of a socket may have 108 characters at most.
RUNTIME: Final = Path("/run/synapse-bundle-lab")


@dataclass(frozen=True, kw_only=True)
class LabPaths:
    """The lab's two directories: files that stay (`root`), sockets and process id (`runtime`)."""

    root: Path
    runtime: Path = RUNTIME

    @property
    def bin(self) -> Path:
        """The programs of the engine, first in PATH."""
        return self.root / "bin"

    @property
    def docker(self) -> str:
        """The docker command of the engine."""
        return str(self.bin / "docker")

    @property
    def docker_config(self) -> Path:
        """DOCKER_CONFIG of the lab, with the Compose and Buildx plugins."""
        return self.root / "docker-config"

    @property
    def plugins(self) -> Path:
        """The directory in which the docker command looks for plugins."""
        return self.docker_config / "cli-plugins"

    @property
    def packages(self) -> Path:
        """The unpacked Debian packages."""
        return self.root / "packages"

    @property
    def data(self) -> Path:
        """The daemon's data root: images, containers, volumes."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.root / "dockerd.log"

    @property
    def socket(self) -> Path:
        """The socket on which the daemon answers."""
        return self.runtime / "docker.sock"

    @property
    def pid(self) -> Path:
        """The process id the daemon wrote."""
        return self.runtime / "dockerd.pid"

    @property
    def owner(self) -> Path:
        """Holds the `root` of the lab that runs."""
        return self.runtime / "lab"

    @property
    def bridge(self) -> Path:
        """Exists when the bridge of the default network is the lab's own to remove."""
        return self.runtime / "docker0"

    @property
    def lock(self) -> Path:
        """Held by the process that changes the lab."""
        return self.root / "lock"

    def list_exports(self) -> dict[str, str]:
        """Return the variables, PATH aside, that point the docker command at the lab."""
        return {
            "DOCKER_HOST": f"unix://{self.socket}",
            "DOCKER_CONFIG": str(self.docker_config),
            VARIABLE: str(self.root),
        }

    def list_environment(self) -> dict[str, str]:
        """Return this process's environment with the lab's variables and programs first."""
        path = os.pathsep.join([str(self.bin), os.environ.get("PATH", os.defpath)])
        return {**os.environ, **self.list_exports(), "PATH": path}


def find_paths() -> LabPaths:
    """Return the lab of this repository, or the one SYNAPSE_BUNDLE_LAB names."""
    named = os.environ.get(VARIABLE)
    return LabPaths(root=Path(named).resolve() if named else REPOSITORY / ".lab")
