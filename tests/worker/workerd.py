"""Cloudflare's own runtime with Workers in it, each on a port of 127.0.0.1.

Behind each is the web server of origin.js, and nothing else: a Worker reaches no network.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from io import FileIO
from pathlib import Path
from typing import Final

from synapse_bundle.topology import COMPATIBILITY_DATE
from tests.support import node
from tests.support.http import Answer, send
from tests.support.processes import run
from tests.support.waiting import PATIENCE
from tests.worker.runtime import Request, WorkerModule, join_headers

ORIGIN: Final = Path(__file__).with_name("origin.js")
CONFIGURATION: Final = """\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [{services}], sockets = [{sockets}]);
"""
SERVICE: Final = """
  (name = "{name}", worker = (
    modules = [(name = "worker.js", esModule = embed "{name}.js")],
    compatibilityDate = "{date}",
    globalOutbound = "origin",
  )),"""
SOCKET: Final = """
  (name = "{name}", address = "127.0.0.1:0", http = (), service = "{name}"),"""


def install_workerd() -> Path:
    """Return the workerd program; npm installs it where this checkout has none of this version.

    Raises RuntimeError that says in one line why there is none.
    """
    # The platform's own program: npm's command is a script that starts it as a child.
    command = ["node", "--print", "require('workerd').default"]
    done = run(command, cwd=node.install(ORIGIN.parent), check=False, timeout=30)
    if done.returncode:
        msg = "workerd has no program for this machine"
        raise RuntimeError(msg)
    return Path(done.stdout.strip())


@dataclass(frozen=True, kw_only=True)
class Workerd:
    """The process: the port of each Worker by the Worker's name."""

    ports: Mapping[str, int]

    def fetch(self, worker: WorkerModule, request: Request) -> Answer:
        """Send a request as it is, by plain HTTP."""
        connection = HTTPConnection("127.0.0.1", self.ports[worker.name], timeout=PATIENCE)
        headers = {"Host": worker.host, **request.headers}
        body = None if request.body is None else request.body.encode()
        answer = send(connection, request.method, request.target, headers.items(), body)
        return replace(answer, headers=join_headers(answer.headers.items()))


@contextmanager
def run_workerd(program: Path, folder: Path, workers: Iterable[WorkerModule]) -> Iterator[Workerd]:
    """Start the process with its files in an empty folder, and end it."""
    names = write_files(folder, workers)
    log = folder / "log"
    reader, writer = os.pipe()
    command = [str(program), "serve", "config.capnp", f"--control-fd={writer}"]
    # Unbuffered, or select would not see the lines that are read already.
    with FileIO(reader) as control, log.open("w") as errors:
        process = subprocess.Popen(command, cwd=folder, pass_fds=[writer], stderr=errors)
        os.close(writer)
        try:
            yield Workerd(ports=dict(read_port(control, log) for _ in names))
        finally:
            process.kill()
            process.wait()


def write_files(folder: Path, workers: Iterable[WorkerModule]) -> list[str]:
    """Write modules and configuration; return the names of the Workers."""
    sources = {worker.name: worker.source for worker in workers}
    for name, source in sources.items():
        (folder / f"{name}.js").write_text(source, encoding="utf-8")
    shutil.copy(ORIGIN, folder)
    services = [SERVICE.format(name=name, date=COMPATIBILITY_DATE) for name in (*sources, "origin")]
    sockets = [SOCKET.format(name=name) for name in sources]
    text = CONFIGURATION.format(services="".join(services), sockets="".join(sockets))
    (folder / "config.capnp").write_text(text, encoding="utf-8")
    return list(sources)


def read_port(control: FileIO, log: Path) -> tuple[str, int]:
    """Return the next socket that listens, by name, with the free port that it was given."""
    ready, _, _ = select.select([control], [], [], PATIENCE)
    line = control.readline() if ready else b""
    assert line, f"workerd does not listen:\n{log.read_text(encoding='utf-8')}"
    reply = json.loads(line)
    return reply["socket"], reply["port"]
