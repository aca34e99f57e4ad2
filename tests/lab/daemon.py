"""The Docker daemon of the lab: start it, know it, end it and everything it started."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Final

from tests.lab.paths import VARIABLE, LabPaths
from tests.lab.steps import LabError, answers, report, run, time_step
from tests.support.waiting import becomes_true

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 60.0
BRIDGE: Final = Path("/sys/class/net/docker0")


def read_executable(pid: int) -> Path | None:
    """Return the file a process runs, or None when it has ended or is a zombie."""
    try:
        target = Path(f"/proc/{pid}/exe").readlink()
    except OSError:
        return None
    return Path(str(target).removesuffix(" (deleted)"))


def read_words(pid: int) -> list[str]:
    """Return the command line of a process, empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def read_parent(pid: int) -> int:
    """Return the process id of a process's parent, 0 when the process has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def runs_lab(pid: int, paths: LabPaths) -> bool:
    """Return whether a process is the lab's daemon, its containerd or one of its shims.

    Their command lines name the runtime directory; a docker command that a person typed does
    not, and is not ours to end.
    """
    executable = read_executable(pid)
    if executable is None or not executable.is_relative_to(paths.packages):
        return False
    return any(str(paths.runtime) in word for word in read_words(pid))


def list_processes(paths: LabPaths) -> list[int]:
    """Return the lab's processes, the first process of each container before its shim."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    own = {pid for pid in pids if runs_lab(pid, paths)}
    started = [pid for pid in pids if pid not in own and read_parent(pid) in own]
    return [*started, *sorted(own, reverse=True)]


def find_daemon(paths: LabPaths) -> int | None:
    """Return the process id of this lab's running daemon, or None."""
    try:
        pid = int(paths.pid.read_text())
    except (OSError, ValueError):
        return None
    return pid if read_executable(pid) == (paths.bin / "dockerd").resolve() else None


def find_other_lab(paths: LabPaths) -> Path | None:
    """Return the directory of another lab that runs on this machine, or None."""
    try:
        root = Path(paths.owner.read_text().strip())
    except OSError:
        return None
    other = LabPaths(root=root, runtime=paths.runtime)
    return root if root != paths.root and find_daemon(other) is not None else None


def refuse_second_lab(paths: LabPaths) -> None:
    """Raise LabError when the lab of another directory runs on this machine."""
    other = find_other_lab(paths)
    if other is not None:
        raise LabError(
            f"the lab in {other} is running, and one machine carries one lab. "
            f"End it first: {VARIABLE}={other} python3 -m tests.lab down"
        )


def list_arguments(paths: LabPaths) -> list[str]:
    """Return the daemon's command line."""
    return [
        str(paths.bin / "dockerd"),
        f"--host=unix://{paths.socket}",
        f"--data-root={paths.data}",
        f"--exec-root={paths.runtime}",
        f"--pidfile={paths.pid}",
        # Docker's own pools hold 31 networks, and the tests may have more at once.
        "--default-address-pool=base=172.16.0.0/12,size=24",
        "--log-level=warn",
    ]


def start_daemon(paths: LabPaths) -> None:
    """Start the daemon in a session of its own and wait until it answers.

    Raises LabError when another lab runs, or with the end of the daemon's log.
    """
    if find_daemon(paths) is not None:
        return
    refuse_second_lab(paths)
    with time_step("start the engine"):
        end_leftovers(paths)
        paths.runtime.mkdir(parents=True, exist_ok=True)
        paths.owner.write_text(f"{paths.root}\n")
        if not BRIDGE.exists():
            paths.bridge.touch()
        environment = paths.list_environment()
        environment["PATH"] += ":/usr/sbin:/sbin"
        with paths.log.open("wb") as log:
            child = subprocess.Popen(
                list_arguments(paths),
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        await_daemon(paths, child)
        clear_engine(paths)


def await_daemon(paths: LabPaths, child: subprocess.Popen[bytes]) -> None:
    """Wait until the daemon answers; raise LabError when it ends or takes too long."""
    command = [paths.docker, "version"]
    environment = paths.list_environment()
    becomes_true(
        lambda: child.poll() is not None or answers(command, environment=environment),
        START_SECONDS,
    )
    if child.poll() is not None or not answers(command, environment=environment):
        tail = "\n".join(paths.log.read_text(errors="replace").splitlines()[-15:])
        raise LabError(f"the engine did not start; the end of {paths.log}:\n{tail}")


def clear_engine(paths: LabPaths) -> None:
    """Remove containers, volumes and networks, so that nothing restarts with the lab."""
    docker, environment = paths.docker, paths.list_environment()
    containers = run([docker, "ps", "-aq"], environment=environment, timeout=30).split()
    if containers:
        run([docker, "rm", "-f", "-v", *containers], environment=environment, timeout=120)
    run([docker, "volume", "prune", "-a", "-f"], environment=environment, timeout=120)
    run([docker, "network", "prune", "-f"], environment=environment, timeout=120)


def end_process(pid: int, number: signal.Signals, seconds: float) -> bool:
    """Send a signal to a process and return whether it ended within `seconds`."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    return becomes_true(lambda: read_executable(pid) is None, seconds)


def end_leftovers(paths: LabPaths) -> None:
    """End what a killed daemon left: its containers, containerd, shims, mounts and bridge."""
    for pid in list_processes(paths):
        end_process(pid, signal.SIGKILL, 5)
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in reversed(mounts):
        if Path(mount).is_relative_to(paths.data) or Path(mount).is_relative_to(paths.runtime):
            answers(["umount", "-l", mount])
    if BRIDGE.exists() and paths.bridge.exists():
        answers(["ip", "link", "delete", "docker0"])
    shutil.rmtree(paths.runtime, ignore_errors=True)


def stop_daemon(paths: LabPaths) -> None:
    """End this lab's daemon and all it started; do nothing when it does not run."""
    if find_other_lab(paths) is not None:
        return
    pid = find_daemon(paths)
    if pid is not None:
        with time_step("stop the engine"):
            try:
                clear_engine(paths)
            except LabError as error:
                report(str(error))
            if not end_process(pid, signal.SIGTERM, STOP_SECONDS):
                end_process(pid, signal.SIGKILL, 5)
    end_leftovers(paths)
