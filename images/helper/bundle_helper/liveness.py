"""Ends a service that hangs: Docker restarts a container whose main process ends, not an unhealthy one.

The main process wakes every ten seconds, whatever it does, and the kernel counts that. A helper that is
unhealthy for another reason wakes as well, and keeps running.
"""

from __future__ import annotations

import os
import signal
import sys
import time

PULSE_FILE = "pulse"
# On a clock that stops while the machine sleeps. Longer than the supervisor's longest pause.
_LONGEST_PAUSE_SECONDS = 30.0
_COUNTER = "voluntary_ctxt_switches:"


def end_hanging(directory: str) -> None:
    """Kill the main process of this container if it has not woken for too long.

    `directory` holds the count of the last check. Without Docker's init as the first process
    nothing can be killed from inside, and nothing is done.
    """
    try:
        main = find_main()
        if main is not None and is_hanging(directory, main, time.monotonic()):
            _log(f"the service has not moved for {_LONGEST_PAUSE_SECONDS:.0f} s: ending it\n")
            os.kill(main, signal.SIGKILL)
    except OSError:
        # It has just ended by itself, or its directory cannot be written, which others report.
        return


def find_main(processes: str = "/proc") -> int | None:
    """Return the process that Docker's init started for this container, or None without an init."""
    with open(f"{processes}/1/task/1/children", encoding="ascii") as file:  # noqa: PTH123 (pathlib costs more than all the rest of this program)
        children = file.read().split()
    with open(f"{processes}/1/comm", encoding="utf-8") as file:  # noqa: PTH123 (as above)
        init = file.read().strip()
    return int(children[0]) if children and init.endswith("-init") else None


def is_hanging(directory: str, process: int, now: float, processes: str = "/proc") -> bool:
    """Say whether a process has not woken for too long; remember when it last had."""
    pulse = f"{process} {count_wakes(process, processes)}"
    path = os.path.join(directory, PULSE_FILE)  # noqa: PTH118 (as above)
    try:
        with open(path, encoding="ascii") as file:  # noqa: PTH123 (as above)
            since, _, before = file.read().partition(" ")
            if before == pulse:
                return now - float(since) > _LONGEST_PAUSE_SECONDS
    except (FileNotFoundError, ValueError):
        pass
    beside = f"{path}.new"
    with open(beside, "w", encoding="ascii") as file:  # noqa: PTH123 (as above)
        file.write(f"{now} {pulse}")
    os.replace(beside, path)  # noqa: PTH105 (as above)
    return False


def count_wakes(process: int, processes: str = "/proc") -> int:
    """Return how often the main thread of a process has waited for something."""
    with open(f"{processes}/{process}/status", encoding="utf-8") as file:  # noqa: PTH123 (as above)
        return next(int(line.split()[1]) for line in file if line.startswith(_COUNTER))


def _log(sentence: str) -> None:
    sys.stdout.write(sentence)
    # Into the container's log too, where an operator looks for the reason of a restart.
    with open("/proc/1/fd/1", "w", encoding="utf-8") as log:  # noqa: PTH123 (as above)
        log.write(sentence)
