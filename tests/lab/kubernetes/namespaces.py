"""The node's namespaces on this machine, and the removal of all that it leaves."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.lab.daemon import end_process, read_executable, read_words
from tests.lab.kubernetes.cluster_paths import (
    HIDDEN,
    HOST_ADDRESS,
    LINK,
    LINK_BITS,
    NAME,
    NETWORK,
    NODE_ADDRESS,
)
from tests.lab.paths import REPOSITORY
from tests.lab.steps import LabError, answers, run
from tests.support.waiting import becomes_true

if TYPE_CHECKING:
    from tests.lab.kubernetes.cluster_paths import ClusterPaths

_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")
# What the kubelet sets on every machine it runs on.
_TUNABLES: Final = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
)
_STOP_SECONDS: Final = 30.0


def find_node(paths: ClusterPaths) -> int | None:
    """Return the id of the process that holds the node, or None."""
    try:
        pid = int(paths.pid.read_text())
    except (OSError, ValueError):
        return None
    return pid if str(paths.root) in read_words(pid) and read_executable(pid) else None


def list_control_groups() -> list[Path]:
    """Return the node's place in each hierarchy of control groups, those of version 1 and 2."""
    roots = [_CONTROL_GROUPS, *_CONTROL_GROUPS.iterdir()]
    return [root / NAME for root in roots if (root / "cgroup.procs").is_file()]


def add_network() -> None:
    """Make the node's network: one link to this machine, no way out."""
    run(["ip", "netns", "add", NAME])
    run(["ip", "link", "add", LINK, "type", "veth", "peer", "name", "eth0", "netns", NAME])
    run(["ip", "address", "add", f"{HOST_ADDRESS}/{LINK_BITS}", "dev", LINK])
    run(["ip", "link", "set", LINK, "up"])
    inside = ["ip", "-n", NAME]
    run([*inside, "address", "add", f"{NODE_ADDRESS}/{LINK_BITS}", "dev", "eth0"])
    run([*inside, "link", "set", "eth0", "up"])


def remember(paths: ClusterPaths) -> None:
    """Write down the kernel's settings that the kubelet changes, and make places to mount on."""
    known = {name: Path("/proc/sys", name).read_text().strip() for name in _TUNABLES}
    missing = [str(place) for place in HIDDEN if not place.exists()]
    paths.before.write_text(json.dumps({"tunables": known, "missing": missing}))
    for place in HIDDEN:
        place.mkdir(exist_ok=True)
        paths.find_substitute(place).mkdir(parents=True)


def restore(paths: ClusterPaths) -> None:
    """Set the kernel's settings and the places back to what they were."""
    try:
        before = json.loads(paths.before.read_text())
    except FileNotFoundError:
        return
    for name, value in before["tunables"].items():
        Path("/proc/sys", name).write_text(value)
    for place in map(Path, before["missing"]):
        if place == NETWORK.parent:
            # The first namespace with a name makes it a mount of its own (ip-netns).
            answers(["umount", place])
        # What somebody else has put there since stays.
        with suppress(OSError):
            place.rmdir()


def start_processes(paths: ClusterPaths) -> subprocess.Popen[bytes]:
    """Start the node in namespaces of its own for processes, mounts and network."""
    for group in list_control_groups():
        group.mkdir(exist_ok=True)
    command = ["nsenter", f"--net={NETWORK}", "unshare", "--pid", "--fork", "--kill-child"]
    command += ["--mount", "--propagation", "private", "--mount-proc"]
    command += [sys.executable, "-m", "tests.lab.kubernetes", "node", str(paths.root)]
    with (paths.logs / "node.log").open("wb") as log:
        child = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    paths.pid.write_text(str(child.pid))
    return child


def remove_control_group(group: Path) -> bool:
    """Remove a control group and all below it; return whether it is gone."""
    for folder in [*sorted(group.rglob("*/"), reverse=True), group]:
        with suppress(OSError):
            folder.rmdir()
    return not group.exists()


def list_traces() -> list[Path]:
    """Return what is in the places that the node's programs should not see.

    An engine on this machine has its own things in the first.
    """
    return sorted(
        path for place in HIDDEN[1:] for path in [place, *place.rglob("*")] if path.exists()
    )


def list_leftovers(paths: ClusterPaths) -> list[str]:
    """Return what a node that runs no more has left on this machine; nothing, if all is well."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    left = [f"process {pid}" for pid in pids if str(paths.root) in " ".join(read_words(pid))]
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    left += [f"mount {mount}" for mount in mounts if mount.startswith(str(paths.state))]
    link = Path("/sys/class/net", LINK)
    places = [NETWORK, link, paths.runtime, paths.state, *list_control_groups()]
    return left + [str(place) for place in places if place.exists()]


def remove_node(paths: ClusterPaths) -> None:
    """End the node, and remove whatever it or a killed one left; raises LabError if it cannot."""
    pid = find_node(paths)
    if pid is not None:
        # The kernel ends every process of the namespace with it.
        end_process(pid, signal.SIGKILL, _STOP_SECONDS)
    for group in list_control_groups():
        if not becomes_true(partial(remove_control_group, group), _STOP_SECONDS):
            raise LabError(f"processes are left in {group}")
    if NETWORK.exists():
        run(["ip", "netns", "delete", NAME])
    answers(["ip", "link", "delete", LINK])
    restore(paths)
    shutil.rmtree(paths.runtime, ignore_errors=True)
    shutil.rmtree(paths.state, ignore_errors=True)
