"""A running Apache of the bundle, and how a client speaks to it."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography import x509

from tests.support.engine import try_docker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

# What compose.yaml gives the service.
HARDENING = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--tmpfs=/run/apache2:uid=33,gid=33,mode=0700,size=64m",
    "--pids-limit=4096",
    "--memory=512m",
)
TOOLS = "/usr/local/lib/homeserver"


def wait_for(what: str, condition: Callable[[], object], seconds: float = 30) -> None:
    """Return as soon as `condition` holds; fail with `what` when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain for {what}"
        time.sleep(0.05)


def find_address(container: str) -> tuple[str, int]:
    """Return where the host reaches the container's TLS port; nowhere once it has ended."""
    found = try_docker("port", container, "443/tcp").stdout
    return "127.0.0.1", int(found.partition("\n")[0].rpartition(":")[2] or 0)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a client got: `seen` is what the backend says reached it."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """Return the body's JSON object."""
        value: dict[str, Any] = json.loads(self.body)
        return value

    def seen(self, name: str) -> list[str]:
        """Return every value of the request header `name` that reached the backend."""
        return [value for key, value in self.json["headers"] if key.lower() == name.lower()]


@dataclass(frozen=True, kw_only=True)
class Front:
    """A container of the Apache image; `certificates` is the folder the helper publishes in."""

    container: str
    address: tuple[str, int]
    homeserver: str
    certificates: Path
    trusting: ssl.SSLContext

    def connect(self, timeout: float = 30) -> http.client.HTTPConnection:
        """Open a verified connection."""
        plain = socket.create_connection(self.address, timeout)
        connection = http.client.HTTPConnection(self.homeserver)
        connection.sock = self.trusting.wrap_socket(plain, server_hostname=self.homeserver)
        return connection

    def ask(
        self,
        target: str,
        *headers: tuple[str, str],
        method: str = "GET",
        body: bytes | Iterable[bytes] | None = None,
    ) -> Answer:
        """Send one request whose target reaches Apache as it is spelled here."""
        connection = self.connect()
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            if isinstance(body, bytes):
                connection.putheader("Content-Length", str(len(body)))
            elif body is not None:
                connection.putheader("Transfer-Encoding", "chunked")
            chunked = body is not None and not isinstance(body, bytes)
            connection.endheaders(body, encode_chunked=chunked)
            response = connection.getresponse()
            answer = Answer(status=response.status, headers=response.msg, body=response.read())
        finally:
            connection.close()
        return answer

    def serial(self) -> int:
        """Return the serial number of the certificate that Apache presents now."""
        unverified = ssl._create_unverified_context()  # noqa: S323 - only looks
        with (
            socket.create_connection(self.address, 10) as plain,
            unverified.wrap_socket(plain, server_hostname=self.homeserver) as secured,
        ):
            presented = secured.getpeercert(binary_form=True)
        assert presented is not None
        return x509.load_der_x509_certificate(presented).serial_number

    def logs(self) -> str:
        """Return all that the container has said."""
        done = try_docker("logs", self.container)
        return done.stdout + done.stderr

    def complain(self) -> str:
        """Return what the image's health check finds wrong; nothing when it is content."""
        done = try_docker("exec", self.container, f"{TOOLS}/healthcheck")
        return done.stdout.strip() if done.returncode else ""
