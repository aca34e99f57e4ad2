"""The double as a process, its files, and a visitor to its public side."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.http import Answer, Body, send
from tests.support.ports import find_port
from tests.support.waiting import PATIENCE, wait_for
from tunnel_tests.authority import HOST

DOUBLE: Final = Path(__file__).parents[1]
TUNNEL: Final = "6ff42ae2-765d-4adf-8112-31c55c1551ef"
SECRET: Final = base64.b64encode(b"never to be seen in any message!").decode()


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
        body: Body = None,
        host: str = HOST,
    ) -> Answer:
        """Send one request exactly as written and return the answer."""
        connection = HTTPConnection("127.0.0.1", self.public, timeout=PATIENCE)
        return send(connection, method, target, [("Host", host), *headers], body)

    def ask_readiness(self) -> tuple[int, dict[str, Any]]:
        """Return status and content of /ready."""
        answer = send(HTTPConnection(self.metrics, timeout=PATIENCE), "GET", "/ready")
        return answer.status, answer.json


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
        wait_for(registered, "the tunnel")
        yield tunnel
    finally:
        process.kill()
        process.wait()
