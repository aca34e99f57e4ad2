"""A running Apache of the bundle, and how a client speaks to it."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from tests.support.engine import try_docker
from tests.support.http import Answer, Body, connect_tls, read_certificate, send, trust_any
from tests.support.http_stream import HttpStream, open_stream
from tests.support.waiting import PATIENCE

# As compose.yaml confines the service, but without init and with more room.
HARDENING: Final = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--tmpfs=/run/apache2:uid=33,gid=33,mode=0700,size=64m",
    "--pids-limit=4096",
    "--memory=512m",
)
TOOLS: Final = "/usr/local/lib/homeserver"


def find_port_of(container: str) -> int:
    """Return the port by which this machine reaches the container's TLS port; 0 once it has ended."""
    found = try_docker("port", container, "443/tcp").stdout
    return int(found.partition("\n")[0].rpartition(":")[2] or 0)


def list_received(answer: Answer, name: str) -> list[str]:
    """Return every value of a request header that reached the backend, as it reports it."""
    return [value for key, value in answer.json["headers"] if key.lower() == name.lower()]


def publish(folder: Path, content: str, name: str = "live.pem") -> None:
    """Put `content` into `folder` as the helper does: complete, and by rename."""
    temporary = folder / f".{name}"
    temporary.write_text(content)
    temporary.chmod(0o644)
    os.replace(temporary, folder / name)  # noqa: PTH105 - the same call as the helper's


@dataclass(frozen=True, kw_only=True)
class ApacheContainer:
    """A container of the Apache image; `certificates` is the folder the helper publishes in."""

    container: str
    port: int
    homeserver: str
    certificates: Path
    context: ssl.SSLContext

    def connect(self, timeout: float = PATIENCE) -> HTTPConnection:
        """Open a verified connection."""
        return connect_tls(self.port, self.homeserver, self.context, timeout)

    async def open_stream(self) -> HttpStream:
        """Open a verified connection that is kept."""
        return await open_stream(self.port, self.homeserver, self.context)

    def ask(
        self, target: str, *headers: tuple[str, str], method: str = "GET", body: Body = None
    ) -> Answer:
        """Send one request whose target reaches Apache byte for byte."""
        return send(self.connect(), method, target, headers, body)

    def serial(self) -> int:
        """Return the serial number of the certificate that Apache presents now."""
        return read_certificate(self.port, self.homeserver, trust_any()).serial_number

    def logs(self) -> str:
        """Return all that the container has logged."""
        done = try_docker("logs", self.container)
        return done.stdout + done.stderr

    def find_fault(self) -> str:
        """Return what the image's health check finds wrong, or nothing."""
        done = try_docker("exec", self.container, f"{TOOLS}/healthcheck")
        return done.stdout.strip() if done.returncode else ""


Start = Callable[..., AbstractContextManager[ApacheContainer]]
