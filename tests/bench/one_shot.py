"""Containers that do one thing and end: their time, their processor, and the most memory they held."""

from __future__ import annotations

import itertools
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tests.bench.cpu_usage import ask_engine
from tests.support.stacks import Stack

PAUSE: Final = 0.1
MIB: Final = 1024**2
# What counts of a control group's memory, in its second version and in its first. The rest are pages of
# files, which the kernel drops when somebody needs the memory.
HELD: Final = (("anon", "file_mapped"), ("total_rss", "total_mapped_file"))
NUMBERS: Iterator[int] = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class OneShot:
    """A container that has ended: wall and CPU seconds, the peak of its processes' memory in MiB."""

    seconds: float
    cpu: float
    memory: float
    output: str


def run_service(stack: Stack, service: str, *command: str) -> OneShot:
    """Run a service's command as its documentation says, with `docker compose run`."""
    project = ["docker", "compose", "--project-name", stack.project]
    return watch([*project, "run", "--rm", "--no-TTY"], [service, *command], stack)


def run_image(stack: Stack, image: str, options: Sequence[str], script: str) -> OneShot:
    """Run a shell script as root in a container of an image, in the network of the database."""
    network = f"--network={stack.project}_database"
    start = ["docker", "run", "--rm", "--user=0", network, "--entrypoint=bash", *options]
    return watch(start, [image, "-o", "pipefail", "-ec", script], stack)


def watch(start: Sequence[str], rest: Sequence[str], stack: Stack) -> OneShot:
    """Run it under a name, and look at it until it has ended; AssertionError if it fails."""
    name = f"{stack.project}-one-shot-{os.getpid()}-{next(NUMBERS)}"
    began = time.perf_counter()
    cpu = memory = 0.0
    with subprocess.Popen(
        [*start, "--name", name, *rest], cwd=stack.directory, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        while process.poll() is None:
            seen = ask_engine(f"/containers/{name}/stats?stream=false&one-shot=true")
            cpu = max(cpu, seen.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage", 0))
            memory = max(memory, count_memory(seen))
            time.sleep(PAUSE)
        seconds = time.perf_counter() - began
        output = process.stdout.read() if process.stdout else ""
    if process.returncode:
        raise AssertionError(f"{' '.join(rest[:2])} gave {process.returncode}:\n{output}")
    return OneShot(seconds=seconds, cpu=cpu / 1e9, memory=memory / MIB, output=output)


def count_memory(seen: dict[str, Any]) -> float:
    """Return the bytes that a container's processes hold, as the engine saw it."""
    counted = seen.get("memory_stats", {}).get("stats", {})
    return float(max(sum(counted.get(key, 0) for key in keys) for keys in HELD))
