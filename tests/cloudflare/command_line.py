"""The fake at a real socket, and the real command against it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from tests.cloudflare.simulation import Simulation
from tests.support.fake_cloudflare.api import BASE, LostError

PATIENCE: Final = 240  # seconds until a process that says nothing has failed
SETTINGS: Final = "server_name: example.org\nemail: you@example.org\ntunnel: cloudflare\n"


@dataclass
class CommandResult:
    """How a run of the command ended, and what it said."""

    code: int
    output: str
    errors: str = ""

    @property
    def text(self) -> str:
        """Everything it said."""
        return self.output + self.errors


@dataclass
class Shell:
    """A directory with settings, an environment, and Cloudflare at a port of this machine."""

    simulation: Simulation
    directory: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    watch: Callable[[int], None] = lambda _: None

    @property
    def bundle(self) -> Path:
        """The bundle."""
        return self.directory / "bundle"

    def prepare(self, *words: str, **variables: str | None) -> tuple[list[str], dict[str, str]]:
        """Return the command line and environment of a run."""
        environment = {
            "PATH": "/nonexistent",
            "HOME": str(self.directory),
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"],
            "CLOUDFLARE_BASE_URL": f"http://127.0.0.1:{self.port}{BASE}",
            "CLOUDFLARE_API_TOKEN": self.simulation.grant.value,
            "TERM": "dumb",
            **self.environment,
            **variables,
        }
        kept = {name: value for name, value in environment.items() if value is not None}
        return [sys.executable, "-m", "synapse_bundle", *words], kept

    def run(self, *words: str, typed: str = "", **variables: str | None) -> CommandResult:
        """Run the command as in a pipe."""
        command, environment = self.prepare(*words, **variables)
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return CommandResult(done.returncode, done.stdout, done.stderr)

    def cloudflare(self, *words: str, **options: Any) -> CommandResult:
        """Run `synapse-bundle cloudflare …`."""
        return self.run("cloudflare", *words, **options)

    def start(self, *words: str, **variables: str | None) -> subprocess.Popen[bytes]:
        """Start the command and go on."""
        command, environment = self.prepare(*words, **variables)
        return subprocess.Popen(
            command,
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def type(
        self, *words: str, answers: Mapping[str, str], **variables: str | None
    ) -> CommandResult:
        """Run the command at a terminal, and answer its questions as they come."""
        command, environment = self.prepare(*words, **variables)
        mine, its = pty.openpty()
        process = subprocess.Popen(
            command, cwd=self.directory, env=environment, stdin=its, stdout=its, stderr=its
        )
        os.close(its)
        said, left = "", dict(answers)
        for part in read_terminal(mine):
            said += part
            for question in [q for q in left if q in said]:
                os.write(mine, f"{left.pop(question)}\n".encode())
        os.close(mine)
        code = process.wait(timeout=PATIENCE)
        assert not left, f"never asked: {list(left)} in {said}"
        return CommandResult(code, said.replace("\r\n", "\n"))


def read_terminal(terminal: int) -> Iterator[str]:
    """Yield what a process writes to its terminal until it ends."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # Linux says so when the other end is closed
                return
            if not part:
                return
            yield part.decode()
    raise AssertionError("the process says nothing and does not end")


@contextlib.contextmanager
def serve(simulation: Simulation, directory: Path) -> Iterator[Shell]:
    """Serve a simulation's Cloudflare on the loopback."""
    shell = Shell(simulation=simulation, directory=directory, port=0)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                shell.watch(len(simulation.fake.log))
                try:
                    query = dict(parse_qsl(url.query, keep_blank_values=True))
                    answer = simulation.fake.answer(self.command, url.path, query, headers, body)
                except LostError:
                    self.close_connection = True
                    return
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": len(answer.body)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    shell.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield shell
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def read_json(path: Path) -> Any:
    """Return a JSON file."""
    return json.loads(path.read_text())
