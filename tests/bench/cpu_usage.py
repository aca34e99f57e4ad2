"""Processes and containers, with the CPU-seconds that they use."""

from __future__ import annotations

import functools
import json
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from tests.bench.figures import Sample
from tests.support.engine import docker


class EngineConnection(HTTPConnection):
    """HTTP to the Docker Engine's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def time_command(command: list[str], *, environment: Mapping[str, str], folder: Path) -> Sample:
    """Run a command in a process of its own; return its wall and CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        command, env=dict(environment), cwd=folder, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise AssertionError(f"{command[0]} gave {done.returncode}:\n{done.stdout}{done.stderr}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(value=wall, cpu=cpu)


@functools.cache
def find_engine() -> str:
    """Return the path of the engine's socket; only a local engine can be measured."""
    form = "{{.Endpoints.docker.Host}}"
    host = docker("context", "inspect", "--format", form)
    host = os.environ.get("DOCKER_HOST", host)
    if not host.startswith("unix://"):
        raise AssertionError(f"the engine at {host} is not on this machine")
    return host.removeprefix("unix://")


def ask_engine(path: str) -> Any:
    """Return the engine's answer to a GET."""
    connection = EngineConnection(find_engine())
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def count_cpu(containers: Iterable[str]) -> float:
    """Return the CPU-seconds that running containers have used, as their control groups say."""
    total = 0
    for container in containers:
        answer = ask_engine(f"/containers/{container}/stats?stream=false&one-shot=true")
        total += answer.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage", 0)
    return total / 1e9


def list_containers(project: str) -> dict[str, str]:
    """Return the running containers of a Compose project: service -> id."""
    form = '{{.Label "com.docker.compose.service"}} {{.ID}}'
    chosen = f"label=com.docker.compose.project={project}"
    lines = docker("ps", "--no-trunc", "--filter", chosen, "--format", form)
    return dict(line.split() for line in lines.splitlines())
