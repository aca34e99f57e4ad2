"""The Docker Engine, through its command line."""

from __future__ import annotations

import os
import shutil
import subprocess


def try_docker(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run `docker` and return what became of it."""
    command = ["docker", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


def docker(*arguments: str, timeout: float = 120) -> str:
    """Run `docker` and return what it printed; its error output is the failure's message."""
    done = try_docker(*arguments, timeout=timeout)
    assert done.returncode == 0, f"docker {' '.join(arguments)}\n{done.stdout}{done.stderr}"
    return done.stdout.strip()


def find_obstacle() -> str | None:
    """Return in one line why no engine can be used; None when one answers."""
    if shutil.which("docker") is None:
        return "no docker command is installed"
    done = try_docker("version", "--format", "{{.Server.Version}}", timeout=30)
    return None if done.returncode == 0 else "no Docker Engine answers: " + done.stderr.strip()


def is_required() -> bool:
    """Return whether a missing engine is a failure, as it is in CI."""
    return os.environ.get("SYNAPSE_BUNDLE_REQUIRE_ENGINE") == "1"
