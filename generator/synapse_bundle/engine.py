"""Docker: the only module that talks to Compose and the engine, through python-on-whales.

Importing it takes longer than a whole run without Docker, so it is imported inside functions.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, cast

import psutil
from python_on_whales import DockerClient, DockerException

from . import docker_command, images
from .errors import BundleError
from .settings.model import PortSettings

_COMPOSE_FLOOR: Final = (2, 26)
_ENGINE_FLOOR: Final = (26, 1)
# Seconds until a check of the running bundle counts as hanging, whose own probes end much sooner.
_CHECK_PATIENCE: Final = 600
_INSTALL: Final = "install a current one: https://docs.docker.com/engine/install/"


def open_client(bundle: Path, *more: Path) -> DockerClient:
    """Return a client for a bundle's own project, with the operator's overrides, and `more` over them."""
    files = [bundle / "compose.yaml", bundle / "compose.override.yaml", *more]
    return DockerClient(compose_files=[f for f in files if f.exists()])


def open_drill(bundle: Path, project: str) -> DockerClient:
    """Return a client for the drill of a bundle, which has none of the operator's overrides."""
    return DockerClient(
        compose_files=[bundle / "compose.yaml", bundle / "drill.yaml"],
        compose_project_name=project,
    )


def review(compose: bytes, bundle: Path) -> list[str]:
    """Let Compose read a compose.yaml before it is written; return notes for the operator.

    Raises BundleError where Compose refuses it or misses a variable, alone or with the operator's
    override.
    """
    if not shutil.which("docker"):
        return ["Docker is not installed here, so Compose has not checked the bundle."]
    command = [str(part) for part in DockerClient().docker_compose_cmd]
    # In parallel, because each call takes longer than writing the bundle.
    with ThreadPoolExecutor() as pool:
        asked_version = pool.submit(docker_command.run_plainly, [*command, "version", "--short"])
        asked_engine = pool.submit(_describe_engine)
        asked_verdict = pool.submit(_judge, command, compose, bundle)
        version, verdict = asked_version.result(), asked_verdict.result()
        engine = asked_engine.result()
    if version.returncode:
        return [f"{_describe_failure(version)}, so it has not checked the bundle."]
    old = _describe_old("Docker Compose", version.stdout, _COMPOSE_FLOOR)
    said = verdict.stderr.strip()
    if verdict.returncode == docker_command.NO_ANSWER:
        return [f"Docker Compose has not checked the bundle: {said}"]
    # An unset variable becomes empty, which is never meant; anything else is a note.
    if not old and (verdict.returncode or "variable is not set" in said):
        raise BundleError(f"Docker Compose refuses the bundle: {said}")
    return [note for note in (old, engine, *dict.fromkeys(said.splitlines())) if note]


def _judge(command: list[str], compose: bytes, bundle: Path) -> subprocess.CompletedProcess[str]:
    """Return what Compose says of a compose.yaml with the operator's override."""
    override = bundle / "compose.override.yaml"
    files = ["-", *([override] if override.exists() else [])]
    options = [part for file in files for part in ("--file", str(file))]
    options += ["--project-directory", str(bundle)]
    return docker_command.run_plainly(
        [*command, *options, "config", "--quiet"], given=compose.decode()
    )


def _describe_docker() -> str:
    """Return one line on why nothing can be started here, or an empty string."""
    if not shutil.which("docker"):
        return f"Docker is not installed here; {_INSTALL}"
    version = docker_command.run_plainly(["docker", "compose", "version", "--short"])
    if version.returncode:
        said = version.stderr.strip() or "no reason given"
        return f"`docker compose` does not work here: {said}; {_INSTALL}"
    return _describe_old("Docker Compose", version.stdout, _COMPOSE_FLOOR) or _describe_engine()


def _describe_failure(version: subprocess.CompletedProcess[str]) -> str:
    """Return why Compose did not print its version: it is not installed, or what Docker said."""
    said = version.stderr.strip()
    if re.search(r"not a docker command|unknown (shorthand )?(command|flag)", said):
        return "Docker Compose is not installed here"
    return f"`docker compose version` failed ({said or 'no reason given'})"


def _describe_engine() -> str:
    """Return one line about an engine that is too old or does not answer, or an empty string."""
    answer = docker_command.run_plainly(["docker", "version", "--format", "{{.Server.Version}}"])
    if answer.returncode:
        return f"The Docker Engine does not answer: {answer.stderr.strip() or 'no reason given'}"
    return _describe_old("Docker Engine", answer.stdout, _ENGINE_FLOOR)


def _describe_old(name: str, version: str, floor: tuple[int, int]) -> str:
    """Return one line where a version (`2.40.3-3`, `v5.5.0`) is below the floor, or an empty string."""
    numbers = re.match(r"v?(\d+)\.(\d+)", version.strip())
    if not numbers or (int(numbers[1]), int(numbers[2])) >= floor:
        return ""
    needed = ".".join(map(str, floor))
    return f"{name} {version.strip()} is older than {needed}, which the bundle needs; {_INSTALL}"


def start(bundle: Path, ports: PortSettings) -> None:
    """Start a bundle and wait until every service is healthy; Compose shows the progress.

    Raises BundleError, for what Compose says on the terminal or for a port that is taken.
    """
    require_docker()
    client = open_client(bundle)
    if not docker_command.ask(*map(str, client.docker_compose_cmd), "ps", "--quiet").strip():
        _require("\n".join(_describe_taken(ports)))
    try:
        client.compose.up(detach=True, wait=True, remove_orphans=True)
    except DockerException as error:
        raise BundleError(
            "The bundle did not start; see the error above. More: docker compose logs"
        ) from error


def describe_images(bundle: Path) -> Iterator[str]:
    """Yield a line for every third-party image of a bundle that differs from the recorded one."""
    client = open_client(bundle)
    asked = docker_command.run_plainly([*map(str, client.docker_compose_cmd), "config", "--images"])
    used = set(asked.stdout.split())
    for pin in images.read_pins().values():
        if pin.reference in used and client.image.exists(pin.reference):
            held = client.image.inspect(pin.reference).repo_digests or []
            note = images.compare_digests(pin, {digest.rpartition("@")[2] for digest in held})
            if note:
                yield note


def _describe_taken(ports: PortSettings) -> Iterator[str]:
    """Yield a line for every published port that another program uses, with its name if visible."""
    for key, port in ports.model_dump().items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                owner = _find_owner(port)
                yield f"port {port} is taken{owner}; stop that, or set ports.{key} to another one"


def _find_owner(port: int) -> str:
    """Return ` by NAME (process 123)` for the program that listens on a port; empty if hidden."""
    try:
        listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        pids = [c.pid for c in listening if c.laddr and c.laddr.port == port and c.pid]
        return f" by {psutil.Process(pids[0]).name()} (process {pids[0]})" if pids else ""
    except psutil.Error:
        return ""


def require_bundle(bundle: Path) -> None:
    """Raise BundleError where there is no bundle.

    Without a file, Compose would take the project of the current directory instead.
    """
    if not (bundle / "compose.yaml").is_file():
        raise BundleError(
            f"{bundle} holds no bundle; make one with: synapse-bundle generate,"
            " or name it with --output"
        )


def read_model(bundle: Path, profile: str = "tools") -> dict[str, Any]:
    """Return the model that Compose makes of a bundle, with what is only a command; asks no engine.

    `profile` is one of Compose's profiles, or `*` for all of them.

    Raises BundleError where there is no bundle, or Compose refuses it.
    """
    require_bundle(bundle)
    command = [*map(str, open_client(bundle).docker_compose_cmd), "--profile", profile]
    answer = docker_command.run_plainly([*command, "config", "--format", "json"])
    _require(
        f"Docker Compose refuses the bundle: {answer.stderr.strip()}" if answer.returncode else ""
    )
    # Compose doubles each `$`, so that its output can be read by it again.
    return cast("dict[str, Any]", json.loads(answer.stdout.replace("$$", "$")))


def require_docker() -> None:
    """Raise BundleError where nothing can be started here, with what to do."""
    _require(_describe_docker())


def _require(complaint: str) -> None:
    """Raise BundleError if there is a complaint."""
    if complaint:
        raise BundleError(complaint)


def check(bundle: Path, arguments: list[str]) -> int:
    """Run the helper's check in a running bundle; return its exit code.

    Raises BundleError where there is no bundle, or Docker does not answer.
    """
    require_bundle(bundle)
    require_docker()
    command = open_client(bundle).docker_compose_cmd
    terminal = [] if sys.stdout.isatty() else ["--no-TTY"]
    whole = [*command, "exec", *terminal, "helper", "check", *arguments]
    try:
        return subprocess.run(whole, check=False, timeout=_CHECK_PATIENCE).returncode
    except subprocess.TimeoutExpired:
        raise BundleError(
            f"The check did not end within {_CHECK_PATIENCE} seconds. Look at: docker compose ps"
        ) from None
