"""The command line of the lab."""

from __future__ import annotations

import argparse
import fcntl
import shlex
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.lab.daemon import find_daemon, refuse_second_lab, start_daemon, stop_daemon
from tests.lab.images import prepare_images, serve_all
from tests.lab.packages import prepare_engine
from tests.lab.paths import Place, find_place
from tests.lab.steps import LabError, tell, time_step

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def hold_lock(place: Place) -> Iterator[None]:
    """Let one process at a time change the lab; a second one waits."""
    place.root.mkdir(parents=True, exist_ok=True)
    with place.lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def bring_up(place: Place) -> None:
    """Start the lab, unless the machine's own engine already serves every image."""
    if find_daemon(place) is None and serve_all():
        tell("a Docker Engine with every image already answers: nothing to do")
        return
    with hold_lock(place), time_step("lab is up"):
        refuse_second_lab(place)
        prepare_engine(place)
        start_daemon(place)
        prepare_images(place)


def bring_down(place: Place) -> None:
    """End the lab; its directory stays, so that the next start takes seconds."""
    with hold_lock(place):
        stop_daemon(place)
    tell("down")


def print_status(place: Place) -> None:
    """Tell whether the lab runs; raise LabError when it does not."""
    pid = find_daemon(place)
    if pid is None:
        raise LabError(f"not running ({place.root})")
    tell(f"running, process {pid} ({place.root})")


def print_exports(place: Place) -> None:
    """Print shell lines for the lab, none when the machine's own engine is in use."""
    if find_daemon(place) is None:
        tell("not running: the machine's own docker is in use")
        return
    print(f'export PATH={shlex.quote(str(place.bin))}:"$PATH"')
    for key, value in place.list_exports().items():
        print(f"export {key}={shlex.quote(value)}")


COMMANDS = {
    "up": bring_up,
    "down": bring_down,
    "status": print_status,
    "env": print_exports,
}


def main() -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.lab", description=__doc__)
    parser.add_argument("command", choices=sorted(COMMANDS))
    try:
        COMMANDS[parser.parse_args().command](find_place())
    except LabError as error:
        tell(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
