"""A Node.js process that imports Workers and calls them: no socket, and a new module in no time."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.http import Answer
from tests.worker.runtime import Request, WorkerModule, join_headers

SCRIPT: Final = Path(__file__).with_name("ask.js")


@dataclass(frozen=True, kw_only=True)
class NodeImporter:
    """The process; it reads a request from each line and writes an answer for it."""

    process: subprocess.Popen[str]

    def fetch(self, worker: WorkerModule, request: Request) -> Answer:
        """Return what the module's fetch handler answers to a request by https."""
        assert self.process.stdin
        assert self.process.stdout
        question = {
            "source": worker.source,
            "url": f"https://{worker.host}{request.target}",
            "method": request.method,
            "headers": request.headers,
            "body": request.body,
        }
        print(json.dumps(question), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, "node has ended, and said why on its error output"
        reply = json.loads(line)
        assert "error" not in reply, reply["error"]
        return Answer(
            status=reply["status"],
            headers=join_headers(reply["headers"]),
            body=base64.b64decode(reply["body"]),
        )


@contextmanager
def run_importer() -> Iterator[NodeImporter]:
    """Start the process, and end it."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        ["node", str(SCRIPT)], stdin=pipe, stdout=pipe, encoding="utf-8"
    ) as process:
        try:
            yield NodeImporter(process=process)
        finally:
            process.kill()
