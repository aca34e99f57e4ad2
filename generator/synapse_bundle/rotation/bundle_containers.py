"""The bundle's containers, as far as a rotation needs them: whether they run, and commands in them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from .. import docker_command, engine
from ..errors import BundleError


def find_running(bundle: Path) -> set[str]:
    """Return the services that run; none where there is no engine."""
    if not shutil.which("docker"):
        return set()
    listed = docker_command.run_plainly(
        [*_compose(bundle), "ps", "--services", "--status", "running"]
    )
    return set(listed.stdout.split()) if not listed.returncode else set()


def ask_helper(bundle: Path, *arguments: str) -> None:
    """Run a command in the helper; BundleError if it fails, for the reason that it prints."""
    _run([*_compose(bundle), "exec", "--no-TTY", "helper", *arguments], "")


def ask_backup(bundle: Path, *arguments: str, given: str) -> None:
    """Run a command of `backup` in a container of its own, with `given` as its standard input.

    It needs no other service. BundleError if it fails, for the reason that it prints.
    """
    engine.require_docker()
    options = ["run", "--rm", "--no-deps", "--no-TTY"]
    _run([*_compose(bundle), *options, "backup", *arguments], f"{given}\n")


def _compose(bundle: Path) -> list[str]:
    return list(map(str, engine.open_client(bundle).docker_compose_cmd))


def _run(command: list[str], given: str) -> None:
    # What it says goes to the terminal, except what only a person should get: a new password.
    done = subprocess.run(command, check=False, input=given, text=True, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise BundleError("A container could not do its part; see the error above.")
