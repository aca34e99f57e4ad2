"""The double as a process, its files, and a visitor to its public side."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tunnel_tests.authority import HOST
from tunnel_tests.recording_origin import PATIENCE

DOUBLE = Path(__file__).parents[1]
TUNNEL = "6ff42ae2-765d-4adf-8112-31c55c1551ef"
SECRET = base64.b64encode(b"never to be seen in any message!").decode()


@dataclass(frozen=True, kw_only=True)
class Files:
    """What the bundle would mount into the tunnel's container."""

    configuration: Path
    credentials: Path


def write_files(folder: Path, port: int, authority: Path, **options: Any) -> Files:
    """Write a configuration like the bundle's, with other origin options where given."""
    files = Files(configuration=folder / "config.yaml", credentials=folder / "tunnel.json")
    write_credentials(files.credentials)
    origin_request = {
        "originServerName": HOST,
        "caPool": str(authority),
        **options,
    }
    write_yaml(
        files.configuration,
        {
            "tunnel": TUNNEL,
            "credentials-file": str(files.credentials),
            "ingress": [
                {
                    "hostname": HOST,
                    "service": f"https://127.0.0.1:{port}",
                    "originRequest": {k: v for k, v in origin_request.items() if v is not None},
                },
                {"service": "http_status:404"},
            ],
        },
    )
    return files


def write_yaml(path: Path, content: Mapping[str, Any]) -> None:
    """Write the content as YAML."""
    path.write_text(yaml.safe_dump(dict(content)), encoding="utf-8")


def write_credentials(path: Path, **changes: Any) -> None:
    """Write a credentials file; a change to None leaves the key out."""
    content = {
        "AccountTag": "0123456789abcdef0123456789abcdef",
        "TunnelSecret": SECRET,
        "TunnelID": TUNNEL,
        **changes,
    }
    present = {key: value for key, value in content.items() if value is not None}
    path.write_text(json.dumps(present), encoding="utf-8")


def find_port() -> int:
    """Return a port that is free, and that was not returned before.

    It is below those that the kernel gives to connections.
    """
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    msg = "every port is taken"
    raise AssertionError(msg)


_PORTS = iter(range(20000, 30000))


def build_environment(**variables: str) -> dict[str, str]:
    """Return an environment with nothing but what the double needs."""
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(DOUBLE), **variables}


def run_double(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the double to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tunnel_double", "--no-autoupdate", *words],
        env=build_environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def refuse_to_run(files: Files, *words: str, **variables: str) -> str:
    """Return the message with which the double refuses to start."""
    arguments = words or ("tunnel", "--config", str(files.configuration), "run")
    variables.setdefault("LAB_PUBLIC_ADDRESS", f"127.0.0.1:{find_port()}")
    variables.setdefault("TUNNEL_METRICS", f"127.0.0.1:{find_port()}")
    ended = run_double(*arguments, **variables)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a visitor got."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(frozen=True, kw_only=True)
class Tunnel:
    """A running double."""

    process: subprocess.Popen[str]
    public: int
    metrics: str
    log: Path

    def visit(
        self,
        target: str = "/",
        *,
        method: str = "GET",
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes | Iterator[bytes] | None = None,
        host: str = HOST,
    ) -> Answer:
        """Send one request exactly as written and return the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.public, timeout=PATIENCE)
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host)
        for name, value in headers:
            connection.putheader(name, value)
        # The edge may answer, and close, before it has read everything.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.endheaders(body, encode_chunked=not isinstance(body, bytes | None))
        response = connection.getresponse()
        answer = Answer(status=response.status, headers=response.getheaders(), body=response.read())
        connection.close()
        return answer

    def ask_readiness(self) -> tuple[int, dict[str, Any]]:
        """Return status and content of /ready."""
        connection = http.client.HTTPConnection(self.metrics, timeout=PATIENCE)
        connection.request("GET", "/ready")
        response = connection.getresponse()
        content = json.loads(response.read())
        connection.close()
        return response.status, content


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Return when the condition holds; fail when it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@contextmanager
def run_tunnel(files: Files, **variables: str) -> Iterator[Tunnel]:
    """Run `tunnel run` until the block ends; it is ready when the block begins."""
    log = files.configuration.with_suffix(".log")
    tunnel_port, metrics = find_port(), f"127.0.0.1:{find_port()}"
    command = [sys.executable, "-m", "tunnel_double", "--no-autoupdate", "tunnel"]
    command += ["--config", str(files.configuration), "--metrics", metrics, "run"]
    variables["LAB_PUBLIC_ADDRESS"] = f"127.0.0.1:{tunnel_port}"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=build_environment(**variables), stderr=output, text=True
        )
    tunnel = Tunnel(process=process, public=tunnel_port, metrics=metrics, log=log)

    def registered() -> bool:
        assert process.poll() is None, log.read_text()
        return "connIndex=3" in log.read_text()

    try:
        wait_until(registered, "the tunnel")
        yield tunnel
    finally:
        process.kill()
        process.wait()
