"""The Docker Engine, through its command line."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from typing import Final

from tests.support.processes import run

# Seconds: an image's build may take as long.
_TIMEOUT: Final = 600


def try_docker(*arguments: str, timeout: float = _TIMEOUT) -> subprocess.CompletedProcess[str]:
    """Run `docker`, whatever its exit code."""
    return run(["docker", *arguments], check=False, timeout=timeout)


def docker(*arguments: str, timeout: float = _TIMEOUT) -> str:
    """Run `docker`, which must succeed, and return what it printed."""
    return run(["docker", *arguments], timeout=timeout).stdout.strip()


@functools.cache
def find_fault() -> str:
    """Return one line on why no test can use an engine here, or nothing."""
    if not shutil.which("docker"):
        return "the docker command is not installed"
    for command in (("version",), ("compose", "version")):
        done = try_docker(*command)
        if done.returncode:
            said = done.stderr.strip() or f"docker {' '.join(command)} failed"
            return said.splitlines()[-1]
    return ""


def is_required() -> bool:
    """Return whether a missing engine is a failure, as it is in CI."""
    return bool(os.environ.get("SYNAPSE_BUNDLE_REQUIRE_ENGINE"))
