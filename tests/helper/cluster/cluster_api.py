"""A cluster's API as far as the helper may use it: one Secret, one token, and refusals in its own words."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import trustme

TOKEN: Final = "a-token"
PATH: Final = "/api/v1/namespaces/home/secrets/published"


@dataclass
class ClusterApi:
    """The Secret as the cluster keeps it; `patches` are the bodies that changed it."""

    port: int = 0
    token: str = TOKEN
    allowed: bool = True
    held: dict[str, Any] = field(default_factory=lambda: {"kind": "Secret"})
    patches: list[dict[str, Any]] = field(default_factory=list)

    @property
    def contents(self) -> dict[str, bytes]:
        """What a pod that mounts the Secret sees."""
        return {key: base64.b64decode(v) for key, v in self.held.get("data", {}).items()}


@contextlib.contextmanager
def serve_cluster(access: Path) -> Iterator[ClusterApi]:
    """Serve it at 127.0.0.1, and write token and roots where a pod finds them."""
    api = ClusterApi()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(None)

        def do_PATCH(self) -> None:
            length = int(self.headers["Content-Length"])
            if self.headers["Content-Type"] != "application/merge-patch+json":
                return self._send(415, {"reason": "UnsupportedMediaType"})
            return self._answer(json.loads(self.rfile.read(length)))

        def _answer(self, patch: dict[str, Any] | None) -> None:
            if self.headers["Authorization"] != f"Bearer {api.token}":
                return self._send(401, {"reason": "Unauthorized"})
            if self.path != PATH or not api.allowed:
                return self._send(403, {"reason": "Forbidden"})
            if patch is not None:
                assert set(patch) == {"data"}
                api.patches.append(patch)
                data = {**api.held.get("data", {}), **patch["data"]}
                api.held["data"] = {k: v for k, v in data.items() if v is not None}
            return self._send(200, api.held)

        def _send(self, status: int, body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(access / "ca.crt"))
    (access / "token").write_text(TOKEN)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    api.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
