"""A main process that does not wake is ended; one that wakes is let live, whatever it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bundle_helper import liveness


def write_process(processes: Path, process: int, *, wakes: int = 0, **files: str) -> None:
    """Write what the kernel says of a process."""
    place = processes / str(process)
    (place / "task" / str(process)).mkdir(parents=True, exist_ok=True)
    status = f"Name:\tx\nvoluntary_ctxt_switches:\t{wakes}\nnonvoluntary_ctxt_switches:\t{wakes}9\n"
    (place / "status").write_text(status)
    (place / "comm").write_text(files.get("comm", "x") + "\n")
    (place / "task" / str(process) / "children").write_text(files.get("children", ""))


def test_silence_is_a_pulse_that_stands_still(tmp_path: Path) -> None:
    """Only a process whose counter is the same for more than its longest pause is silent."""
    state = tmp_path / "state"
    state.mkdir()
    seen = []
    for now, wakes in [(0, 5), (15, 5), (29, 5), (31, 5), (32, 6), (60, 6), (63, 6)]:
        write_process(tmp_path, 7, wakes=wakes)
        seen.append(liveness.is_hanging(str(state), 7, now, str(tmp_path)))
    assert seen == [False, False, False, True, False, False, True]


def test_another_process_begins_anew(tmp_path: Path) -> None:
    """The same count of another process is not the same pulse; nor is what cannot be read."""
    (tmp_path / "state").mkdir()
    state = str(tmp_path / "state")
    for process in (7, 8):
        write_process(tmp_path, process, wakes=1)
    assert not liveness.is_hanging(state, 7, 0, str(tmp_path))
    assert not liveness.is_hanging(state, 8, 100, str(tmp_path))
    (tmp_path / "state" / liveness.PULSE_FILE).write_text("")
    assert not liveness.is_hanging(state, 8, 200, str(tmp_path))
    assert liveness.is_hanging(state, 8, 300, str(tmp_path))


@pytest.mark.parametrize(
    ("init", "children", "main"),
    [("docker-init", "7 31 ", 7), ("podman-init", "2 ", 2), ("python3", "7 ", None)],
)
def test_the_main_process_is_the_first_child_of_an_init(
    tmp_path: Path, init: str, children: str, main: int | None
) -> None:
    """Where the service itself is the first process, none of its children is taken for it."""
    write_process(tmp_path, 1, comm=init, children=children)
    assert liveness.find_main(str(tmp_path)) == main


def test_the_kernel_counts_the_wakes_of_this_process() -> None:
    """The counter is there, and grows with each pause."""
    before = liveness.count_wakes(os.getpid())
    os.sched_yield()
    read, write = os.pipe()
    os.write(write, b"x")
    os.read(read, 1)
    assert liveness.count_wakes(os.getpid()) >= before
