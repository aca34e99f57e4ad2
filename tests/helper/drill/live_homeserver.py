"""A strict stand-in for a restored Synapse: sign-in, rooms, files, keys; each fault breaks one thing."""

from __future__ import annotations

import json
import secrets
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

from signedjson.sign import sign_json
from unpaddedbase64 import encode_base64

from tests.helper.listening import Listening

if TYPE_CHECKING:
    from signedjson.types import SigningKey

ROOM: Final = "%21room%3Aexample.org"
EVENT: Final = "%24event"
_ROOMS: Final = f"/_matrix/client/v3/rooms/{ROOM}"
_DOWNLOAD: Final = "/_matrix/client/v1/media/download/example.org/"


class LiveHomeserver(Listening):
    """example.org; `media` are its files by their ids."""

    def __init__(self, key: SigningKey, password: str) -> None:
        super().__init__(_Client)
        self.key = key
        self.password = password
        self.token = secrets.token_hex(16)
        self.faults: set[str] = set()
        self.media: dict[str, bytes] = {}
        self.events: dict[str, Any] = {}


class _Client(BaseHTTPRequestHandler):
    server: LiveHomeserver

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        content = self._find(f"{self.command} {self.path}", body)
        status = 200 if content is not None else 404
        if status == 200 and self._is_refused():
            status, content = 401, {"errcode": "M_UNKNOWN_TOKEN"}
        raw = content if isinstance(content, bytes) else json.dumps(content or {}).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_POST = do_PUT = do_GET  # noqa: N815

    def _is_refused(self) -> bool:
        open_ = self.path in {"/_matrix/key/v2/server", "/_matrix/client/v3/login"}
        return not open_ and self.headers["Authorization"] != f"Bearer {self.server.token}"

    def _find(self, request: str, body: bytes) -> Any:
        server = self.server
        if request == "GET /_matrix/key/v2/server":
            return self._publish()
        if request == "POST /_matrix/client/v3/login":
            right = json.loads(body)["password"] == server.password
            return {"access_token": server.token} if right else None
        if request == "POST /_matrix/client/v3/createRoom":
            return None if "no rooms" in server.faults else {"room_id": "!room:example.org"}
        if request == f"PUT {_ROOMS}/send/m.room.message/drill":
            server.events[EVENT] = json.loads(body)
            return {"event_id": "$event"}
        if request == f"GET {_ROOMS}/event/{EVENT}":
            return {"content": {} if "other event" in server.faults else server.events[EVENT]}
        if request == "POST /_matrix/media/v3/upload":
            server.media["new"] = body[1:] if "short upload" in server.faults else body
            return {"content_uri": "mxc://example.org/new"}
        if request.startswith(f"GET {_DOWNLOAD}"):
            return server.media.get(self.path.removeprefix(_DOWNLOAD))
        return None

    def _publish(self) -> Any:
        published = bytes(32) if "other key" in self.server.faults else None
        keys = {
            "server_name": "example.org",
            "valid_until_ts": int(time.time() * 1000) + 86_400_000,
            "verify_keys": {
                "ed25519:a_TEST": {
                    "key": encode_base64(published or self.server.key.verify_key.encode())
                }
            },
        }
        return sign_json(keys, "example.org", self.server.key)
