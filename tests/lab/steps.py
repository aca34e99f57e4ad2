"""One line for each step of the lab, with the seconds it took."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class LabError(Exception):
    """The lab cannot do what was asked; the message says why and what to do next."""


def report(text: str) -> None:
    """Write one line for the person who waits; stdout stays free for `env`."""
    print(f"lab: {text}", file=sys.stderr, flush=True)


@contextmanager
def time_step(title: str) -> Iterator[None]:
    """Report the title and the elapsed seconds when the step is over, however it ends."""
    start = time.monotonic()
    try:
        yield
    except BaseException:
        report(f"{title}: failed after {time.monotonic() - start:.1f} s")
        raise
    report(f"{title}: {time.monotonic() - start:.1f} s")


def run(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    timeout: float = 1800,
) -> str:
    """Run a command and return what it wrote to stdout.

    Raises LabError with the end of its output when it fails or takes more than
    `timeout` seconds.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            cwd=folder,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise LabError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"{' '.join(words[:4])} took more than {timeout:.0f} s") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise LabError(f"{' '.join(words[:6])} ended with {done.returncode}:\n{tail}")
    return done.stdout


def answers(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float = 30,
) -> bool:
    """Return whether the command ends with success in time."""
    try:
        run(command, environment=environment, timeout=timeout)
    except LabError:
        return False
    return True
