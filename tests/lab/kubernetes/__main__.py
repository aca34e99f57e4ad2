"""What runs inside the node's namespaces: its first process, and two servers of its own."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.kubernetes.api_client import ApiClient
from tests.lab.kubernetes.cluster_paths import HIDDEN, NAMESERVER, ClusterPaths
from tests.lab.kubernetes.nameserver import serve_names
from tests.lab.kubernetes.node_programs import list_first, list_others
from tests.lab.kubernetes.provisioner import provide_volumes
from tests.lab.steps import run
from tests.support.waiting import becomes_true

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

API_SECONDS = 120.0


def start(paths: ClusterPaths, programs: Mapping[str, Sequence[str]]) -> dict[int, str]:
    """Start programs, each with a log of its own; return their names by process id."""
    environment = {**os.environ, "PATH": paths.list_path()}
    started = {}
    for name, command in programs.items():
        with (paths.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        started[child.pid] = name
        # The first process takes in every orphan; it waits for all of them in one place.
        child.returncode = 0
    return started


def run_node(paths: ClusterPaths) -> str:
    """Run the node until one of its programs ends; return that program's name."""
    for place in HIDDEN:
        run(["mount", "--bind", paths.find_substitute(place), place])
    run(["ip", "link", "set", "lo", "up"])
    run(["ip", "address", "add", f"{NAMESERVER}/32", "dev", "lo"])
    programs = start(paths, list_first(paths))
    if not becomes_true(ApiClient(paths).is_ready, API_SECONDS):
        return "kube-apiserver"
    programs |= start(paths, list_others(paths))
    while True:
        pid, _ = os.wait()
        if pid in programs:
            return programs[pid]


def main() -> int:
    """Run one part of the node; its end ends the namespaces and all that runs in them."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab.kubernetes", description=__doc__)
    parser.add_argument("part", choices=["node", "volumes", "names"])
    parser.add_argument("root", type=Path)
    chosen = parser.parse_args()
    paths = ClusterPaths(root=chosen.root)
    if chosen.part == "volumes":
        provide_volumes(ApiClient(paths), paths.volumes)
    if chosen.part == "names":
        serve_names(ApiClient(paths), NAMESERVER)
    print(f"{run_node(paths)} ended", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
