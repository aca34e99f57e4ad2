"""A command of Docker's, run for what it prints."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .errors import BundleError

# Seconds until a command that only has to answer counts as hanging, and what its exit code is then.
PATIENCE: Final = 60
NO_ANSWER: Final = 124


def ask(*command: str) -> str:
    """Return what a command prints; BundleError, with its reason, if it fails."""
    done = run_plainly(list(command))
    if done.returncode:
        raise BundleError(f"{_name(command)} failed: {done.stderr.strip() or 'no reason given'}")
    return done.stdout


def run_plainly(command: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command for its output and exit code; NO_ANSWER is that of one that does not end.

    `given` is its standard input.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            output, complaint = process.communicate(given, timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            # `run` would wait for every other process that holds the pipes.
            process.kill()
            reason = f"no answer from {_name(command)} within {PATIENCE} seconds"
            return subprocess.CompletedProcess(command, NO_ANSWER, "", reason)
    return subprocess.CompletedProcess(command, process.returncode, output, complaint)


def _name(command: Sequence[str]) -> str:
    """Return a command as people call it, without its options: `docker compose ps`."""
    words = [word for word in command[1:] if not word.startswith("-") and "/" not in word]
    return f"`{' '.join([Path(command[0]).name, *words[:2]])}`"
