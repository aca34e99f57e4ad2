"""What runs before a pod's services: it ends when they can start, and says why they cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bundle_helper.cluster.waiting import wait_for_homeserver
from bundle_helper.settings.wait_settings import HomeserverWait


class Synapse(ThreadingHTTPServer):
    """Answers as Synapse does; its health and version are set by the test."""

    healthy = False
    version = "1.0"


@pytest.fixture
def synapse() -> Iterator[Synapse]:
    """A stand-in that is not healthy yet."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server = self.server
            assert isinstance(server, Synapse)
            body: Any = "OK"
            if self.path == "/_matrix/federation/v1/version":
                body = {"server": {"name": "Synapse", "version": f"{server.version} (b=x)"}}
            content = json.dumps(body).encode()
            self.send_response(200 if server.healthy or body != "OK" else 500)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = Synapse(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def find_url(synapse: Synapse) -> str:
    return f"http://127.0.0.1:{synapse.server_address[1]}"


def test_a_worker_waits_for_health_and_version(synapse: Synapse) -> None:
    """Each obstacle is told once; the next one is met only when the first is gone."""
    told: list[str] = []

    def tell(sentence: str) -> None:
        told.append(sentence)
        if "answers 500" in sentence:
            synapse.healthy = True
        if "version 1.0" in sentence:
            synapse.version = "2.0"

    wait_for_homeserver(HomeserverWait(url=find_url(synapse), version="2.0"), tell, None)
    assert told == [
        "waiting for Synapse: it answers 500",
        "waiting for Synapse: it is version 1.0, not 2.0",
        "Synapse is ready",
    ]


def test_the_edge_goes_on_after_a_while(synapse: Synapse) -> None:
    """Without Synapse there are still documents to serve."""
    told: list[str] = []
    wait_for_homeserver(HomeserverWait(url=find_url(synapse), version=""), told.append, 0.1)
    assert told[-1].startswith("going on without Synapse")


def test_a_wait_that_lacks_its_settings_says_so(tmp_path: Path) -> None:
    """As a process, as a pod runs it: exit code 2 and every missing variable."""
    code = "from bundle_helper.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "wait", "database"],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "images/helper"},
    )
    assert done.returncode == 2
    assert done.stderr.count("is missing") == 6
