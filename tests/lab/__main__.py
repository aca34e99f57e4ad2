"""The command line of the lab."""

from __future__ import annotations

import argparse
import fcntl
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.lab.daemon import find_daemon, refuse_second_lab, start_daemon, stop_daemon
from tests.lab.images import prepare_images, serve_all
from tests.lab.kubernetes.cluster import run_command
from tests.lab.packages import prepare_engine
from tests.lab.paths import LabPaths, find_paths
from tests.lab.steps import LabError, report, time_step


@contextmanager
def hold_lock(paths: LabPaths) -> Iterator[None]:
    """Let one process at a time change the lab; a second one waits."""
    paths.root.mkdir(parents=True, exist_ok=True)
    with paths.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def bring_up(paths: LabPaths) -> None:
    """Start the lab, unless the machine's own engine already serves every image."""
    if find_daemon(paths) is None and serve_all():
        report("a Docker Engine with every image already answers: nothing to do")
        return
    with hold_lock(paths), time_step("lab is up"):
        refuse_second_lab(paths)
        prepare_engine(paths)
        start_daemon(paths)
        prepare_images(paths)


def bring_down(paths: LabPaths) -> None:
    """End the lab; its directory stays, so that the next start takes seconds."""
    with hold_lock(paths):
        stop_daemon(paths)
    report("down")


def print_status(paths: LabPaths) -> None:
    """Report whether the lab runs; raise LabError when it does not."""
    pid = find_daemon(paths)
    if pid is None:
        raise LabError(f"not running ({paths.root})")
    report(f"running, process {pid} ({paths.root})")


def print_exports(paths: LabPaths) -> None:
    """Print shell lines for the lab, none when the machine's own engine is in use."""
    if find_daemon(paths) is None:
        report("not running: the machine's own docker is in use")
        return
    print(f'export PATH={shlex.quote(str(paths.bin))}:"$PATH"')
    for key, value in paths.list_exports().items():
        print(f"export {key}={shlex.quote(value)}")


COMMANDS: Final = {
    "up": bring_up,
    "down": bring_down,
    "status": print_status,
    "env": print_exports,
}


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.__doc__)
    node = commands.add_parser("kubernetes", help="The same for a Kubernetes node of the lab.")
    node.add_argument("action", choices=["up", "down", "status", "env", "load", "build"])
    node.add_argument(
        "names", nargs="*", help="with load: images of the engine; with build: the archive to make"
    )
    chosen = parser.parse_args()
    try:
        if chosen.command == "kubernetes":
            with hold_lock(find_paths()):
                run_command(chosen.action, chosen.names)
        else:
            COMMANDS[chosen.command](find_paths())
    except LabError as error:
        report(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
