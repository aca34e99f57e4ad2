"""What is done to a running bundle from outside, and what the engine saw of it."""

from __future__ import annotations

import itertools
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import yaml

from tests.support.engine import docker
from tests.support.processes import run
from tests.support.stacks import Stack

FIND_WORKERS: Final = """
parent=$(cat /run/apache2/apache2.pid)
grep -l "^PPid:[[:space:]]*$parent$" $(grep -l '^Name:[[:space:]]*apache2' /proc/[0-9]*/status)
"""


def kill(stack: Stack, service: str) -> None:
    """End the main process of a service's container as the kernel would, behind the engine's back.

    `docker kill` counts as a wish of the operator, so that no restart policy would apply.
    """
    run_on_host(stack, f"kill -9 {stack.inspect(service)['State']['Pid']}")


def freeze(stack: Stack, service: str, find: str = "echo $main") -> None:
    """Freeze processes of a service, by default the main one; they keep their sockets.

    `find` is a script that prints them, given the main one as $main.
    """
    init = stack.inspect(service)["State"]["Pid"]
    run_on_host(stack, f"read -r main _ </proc/{init}/task/{init}/children; kill -STOP $({find})")


def run_on_host(stack: Stack, script: str) -> None:
    """Run a script as the host's root, with its processes in sight."""
    tools = stack.inspect("helper")["Config"]["Image"]
    flags = ["--rm", "--privileged", "--pid=host", "--user=0", "--entrypoint=/bin/sh"]
    docker("run", *flags, tools, "-c", script)


def count_restarts(stack: Stack, services: Iterable[str]) -> dict[str, int]:
    """Return how often the engine has restarted each container."""
    return {service: stack.inspect(service)["RestartCount"] for service in services}


def find_workers(stack: Stack) -> set[str]:
    """Return the process ids of Apache's workers, as its container counts them."""
    found = stack.compose("exec", "--no-TTY", "apache", "sh", "-c", FIND_WORKERS).stdout
    workers = {path.split("/")[2] for path in found.split()}
    assert workers
    return workers


@contextmanager
def occupy_address(stack: Stack, address: str) -> Iterator[None]:
    """Hold an address that has just become free, and answer there, but not as Synapse would."""
    tools = stack.inspect("helper")["Config"]["Image"]
    network = f"--network={stack.project}_web"
    command = ["docker", "run", "--detach", network, "--entrypoint=python3", tools]
    layout = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    squatters: list[str] = []
    try:
        held: list[str] = []
        while address not in held:
            assert len(held) < 8, f"{address} was not given out again, but {held}"
            squatters.append(run([*command, "-m", "http.server", "8008"]).stdout.strip())
            held.append(run(["docker", "inspect", "-f", layout, squatters[-1]]).stdout.strip())
        yield
    finally:
        docker("rm", "--force", *squatters)


@contextmanager
def watch_exits(stack: Stack) -> Iterator[dict[str, int]]:
    """Have the exit codes of a project's containers afterwards, by service; all of them must end meanwhile."""
    layout = (
        '{{index .Actor.Attributes "com.docker.compose.service"}} {{.Actor.Attributes.exitCode}}'
    )
    running = stack.compose("ps", "--quiet").stdout.split()
    filters = [f"label=com.docker.compose.project={stack.project}", "event=die"]
    command = ["docker", "events", f"--since={time.time():.9f}", f"--format={layout}"]
    command += [f"--filter={each}" for each in filters]
    ends: dict[str, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as events:
        try:
            yield ends
            assert events.stdout
            # The engine tells of an end when it comes to it, which may be after the container is gone.
            for line in itertools.islice(events.stdout, len(running)):
                service, code = line.split()
                ends[service] = int(code)
        finally:
            events.terminate()


def ask_database(stack: Stack, database: str, statement: str) -> str:
    """Run a statement as the superuser and return the answer, bare."""
    asking = 'PGPASSWORD=$(<"$POSTGRES_PASSWORD_FILE") exec psql -AtU postgres -d "$0" -c "$1"'
    arguments = ["exec", "--no-TTY", "postgres", "bash", "-c", asking, database, statement]
    return stack.compose(*arguments).stdout.strip()


def run_in_volume(stack: Stack, volume: str, script: str) -> str:
    """Run a script in one of a project's volumes, as root and with the project's own image."""
    services = yaml.safe_load((stack.directory / "compose.yaml").read_text())["services"]
    mount = f"--volume={stack.project}_{volume}:/volume"
    command = ["docker", "run", "--rm", "--user=0", mount, "--workdir=/volume", "--entrypoint=sh"]
    return run([*command, services["postgres"]["image"], "-ec", script]).stdout
