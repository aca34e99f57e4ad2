#!/usr/local/bin/python
"""The entry point of the Synapse image: its modes `run` and `generate`."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path
from typing import Final

DEFAULT_ID: Final = "991"


def fail(text: str) -> None:
    """Print what is wrong and end."""
    print(text, file=sys.stderr)
    sys.exit(2)


def choose_owner(environment: MutableMapping[str, str]) -> str | None:
    """Return UID:GID to become, or None to stay the user the container runs as."""
    if "UID" in environment:
        return f"{int(environment['UID'])}:{int(environment.get('GID', DEFAULT_ID))}"
    return f"{DEFAULT_ID}:{DEFAULT_ID}" if os.getuid() == 0 else None


def find_config(environment: MutableMapping[str, str]) -> str:
    """Return the path of the configuration file the variables name."""
    folder = environment.get("SYNAPSE_CONFIG_DIR", "/data")
    return environment.get("SYNAPSE_CONFIG_PATH", f"{folder}/homeserver.yaml")


def replace_process(
    command: list[str], owner: str | None, environment: MutableMapping[str, str]
) -> None:
    """Become the command, as the owner where there is one to become."""
    if owner is not None:
        command = [shutil.which("gosu") or "/usr/sbin/gosu", owner, *command]
    sys.stdout.flush()
    os.execve(command[0], command, dict(environment))  # noqa: S606


def run(arguments: Sequence[str], owner: str | None, environment: MutableMapping[str, str]) -> None:
    """Become Synapse; no setting comes from the environment and no owner is changed."""
    words = list(arguments)
    allocator = f"/usr/lib/{platform.machine()}-linux-gnu/libjemalloc.so.2"
    if Path(allocator).is_file():
        environment["LD_PRELOAD"] = allocator
    if not any(word.startswith(("-c", "--config-path")) for word in words):
        config = find_config(environment)
        if not Path(config).exists():
            fail(f"Config file '{config}' does not exist. Generate one with the mode 'generate'.")
        words += ["--config-path", config]
    print("Starting synapse with args " + " ".join(words))
    worker = environment.get("SYNAPSE_WORKER", "synapse.app.homeserver")
    replace_process([sys.executable, "-m", worker, *words], owner, environment)


def generate(owner: str | None, environment: MutableMapping[str, str]) -> None:
    """Write a configuration, a log configuration and a signing key, then end."""
    missing = {"SYNAPSE_SERVER_NAME", "SYNAPSE_REPORT_STATS"} - environment.keys()
    if missing:
        fail(f"Environment variables needed in mode 'generate': {', '.join(sorted(missing))}")
    name = environment["SYNAPSE_SERVER_NAME"]
    folder = Path(environment.get("SYNAPSE_CONFIG_DIR", "/data"))
    data = environment.get("SYNAPSE_DATA_DIR", "/data")
    log = folder / f"{name}.log.config"
    if not log.exists():
        shutil.copyfile("/conf/log.config", log)
    if owner is not None:
        subprocess.run(["chown", owner, data], check=True)
    command = [sys.executable, "-m", "synapse.app.homeserver", "--generate-config"]
    command += ["--server-name", name, "--report-stats", environment["SYNAPSE_REPORT_STATS"]]
    command += ["--config-path", find_config(environment), "--config-directory", str(folder)]
    command += ["--data-directory", data, "--open-private-ports"]
    replace_process(command, owner, environment)


def main(arguments: Sequence[str], environment: MutableMapping[str, str]) -> None:
    """Do what the first argument says; without one, run."""
    mode = arguments[1] if len(arguments) > 1 else "run"
    owner = choose_owner(environment)
    if mode == "generate":
        generate(owner, environment)
    elif mode == "run":
        run(arguments[2:], owner, environment)
    else:
        fail(f"Unknown execution mode '{mode}'")


if __name__ == "__main__":
    main(sys.argv, os.environ)
