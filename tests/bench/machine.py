"""The machine and the versions of a run."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from synapse_bundle import __version__, images
from tests.bench.generation import TUTOR
from tests.support.processes import run


def describe() -> dict[str, str]:
    """Return the machine and the versions, by what they are called in the report."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} x {read_processor()}, {read_memory():.0f} GiB",
        "system": f"{read_system()}, Linux {platform.release()}",
        "engine": ask("docker", "version", "--format", "Docker Engine {{.Server.Version}}"),
        "compose": ask("docker", "compose", "version"),
        "python": f"Python {platform.python_version()}",
        "synapse-bundle": __version__,
        "images": ", ".join(pin.reference for pin in images.read_pins().values()),
        "tutor": TUTOR,
    }


def ask(*command: str) -> str:
    """Return what a command prints, or "none"."""
    try:
        done = run(list(command), check=False)
    except FileNotFoundError:
        return "none"
    return done.stdout.strip() or "none"


def read_processor() -> str:
    """Return the processor's name."""
    return find(r"model name\s*: (.+)", "/proc/cpuinfo") or platform.machine()


def read_memory() -> float:
    """Return the memory in GiB."""
    return float(find(r"MemTotal:\s+(\d+)", "/proc/meminfo") or 0) / 1024**2


def read_system() -> str:
    """Return the system's name."""
    return find(r'PRETTY_NAME="(.+)"', "/etc/os-release") or platform.system()


def find(pattern: str, path: str) -> str:
    """Return the first group of a pattern in a file, or nothing."""
    try:
        match = re.search(pattern, Path(path).read_text(encoding="utf-8"))
    except OSError:
        return ""
    return match[1] if match else ""
