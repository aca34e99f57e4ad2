"""The Docker Engine, through its command line."""

from __future__ import annotations

import subprocess


def try_docker(*arguments: str, timeout: float = 180) -> subprocess.CompletedProcess[str]:
    """Run `docker` and return what became of it."""
    command = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def docker(*arguments: str, timeout: float = 180) -> str:
    """Run `docker` and return what it printed; its error output is the failure's message."""
    done = try_docker(*arguments, timeout=timeout)
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()
