"""An origin that writes down what reaches it, byte for byte."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import PATIENCE


@dataclass(kw_only=True)
class Seen:
    """One request as its bytes reached the origin."""

    line: str
    headers: list[tuple[str, str]]
    connection: int
    body: bytes = b""

    def get_all(self, name: str) -> list[str]:
        """Return every value of a header."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


@dataclass(kw_only=True)
class OriginServer:
    """A TLS server that remembers what it was sent and does what the path asks for."""

    port: int
    seen: list[Seen] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    """Set when a request for /hold has come."""
    release: threading.Event = field(default_factory=threading.Event)
    """Set by the test to let /hold go on."""


def make_handler(origin: OriginServer) -> type[BaseHTTPRequestHandler]:
    """Return a handler that writes down every request in the given origin."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        requests = 0

        def answer(self) -> None:
            seen = Seen(
                line=self.requestline,
                headers=list(self.headers.items()),
                connection=self.client_address[1],
            )
            origin.seen.append(seen)
            self.requests += 1
            seen.body = self.read_body()
            if "/hold" in self.requestline:
                origin.held.set()
                origin.release.wait(PATIENCE)
            if "/once" in self.requestline and self.requests > 1:
                self.close_connection = True
                return
            self.reply()

        def read_body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            body = b""
            while size := int(self.rfile.readline() or b"0", 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def reply(self) -> None:
            # Without send_response, which would add a Server and a Date of its own.
            lines = [
                "HTTP/1.1 200 OK",
                "Server: origin",
                "Content-Length: 5",
                "Connection: keep-alive, X-Private",
                "X-Private: 1",
                "Keep-Alive: timeout=5",
                "X-Public: 1",
                "Set-Cookie: a=1",
                "Set-Cookie: b=2",
                "cf-int-secret: 1",
            ]
            head = "\r\n".join([*lines, "", ""]).encode()
            self.wfile.write(head + (b"" if self.command == "HEAD" else b"hello"))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its given name
            """Say nothing."""

    for method in ("GET", "HEAD", "POST", "PUT"):
        setattr(Handler, f"do_{method}", Handler.answer)
    return Handler


@contextmanager
def serve_origin(context: ssl.SSLContext) -> Iterator[OriginServer]:
    """Run an origin until the block ends."""
    origin = OriginServer(port=0)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def get_request(self) -> tuple[socket.socket, Any]:
            connection, address = self.socket.accept()
            return context.wrap_socket(connection, True, do_handshake_on_connect=False), address

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing: visitors that break off are part of the tests."""

    server = Server(("127.0.0.1", 0), make_handler(origin))
    origin.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield origin
    finally:
        origin.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
