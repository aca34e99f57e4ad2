"""Memory as the kernel shares it out: the proportional set size (PSS) of containers' processes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tests.support.engine import docker
from tests.support.processes import run

# The kernel shows other users' smaps_rollup to root alone, and the engine's processes may live in a
# virtual machine: a container that sees all processes can read it wherever the bench runs.
READER: Final = (
    "docker",
    "run",
    "--rm",
    "--privileged",
    "--pid=host",
    "--user=0",
    "--network=none",
)
IMAGE: Final = "debian:trixie-slim"


def list_processes(container: str) -> list[str]:
    """Return the ids of a container's processes, as the engine's machine numbers them."""
    return docker("top", container, "-eo", "pid").split()[1:]


def read_pss(containers: Mapping[str, str]) -> dict[str, float]:
    """Return the KiB that each of some containers (name -> id) uses."""
    owners = {p: name for name, id_ in containers.items() for p in list_processes(id_)}
    files = [f"/proc/{process}/smaps_rollup" for process in owners]
    # A process that has ended meanwhile uses nothing.
    script = 'for f; do sed -n "s|^Pss: *|$f |p" "$f" 2>/dev/null || true; done'
    output = run([*READER, "--entrypoint=/bin/sh", IMAGE, "-c", script, "sh", *files]).stdout
    used = dict.fromkeys(containers, 0.0)
    for process, kib in re.findall(r"^/proc/(\d+)/smaps_rollup (\d+) kB$", output, re.MULTILINE):
        used[owners[process]] += float(kib)
    return used
