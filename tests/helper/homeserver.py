"""A strict stand-in for Apache and Synapse on two ports, with faults to switch on one by one.

The same proofs run against the real pair in tests/stack; here each fault must break its own row.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import ssl
import time
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from urllib.parse import unquote

from signedjson.sign import sign_json
from unpaddedbase64 import encode_base64

from tests.helper.listening import Listening

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from signedjson.types import SigningKey

    from bundle_helper.settings.service_settings import ServiceSettings

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization, Date",
}

_Reply: TypeAlias = tuple[int, Any, dict[str, str]]


class Homeserver:
    """Both servers; what Synapse knows is in plain attributes."""

    def __init__(self, settings: ServiceSettings, signing_key: SigningKey) -> None:
        self.settings = settings
        self.signing_key = signing_key
        self.faults: set[str] = set()
        self.users: dict[str, tuple[str, bool]] = {}
        self.tokens: dict[str, str] = {}
        self.nonces: set[str] = set()
        self.logins = 0
        self.last_seen_ip = ""
        self.packages: datetime | None = None
        self.version = "1.163.2"
        self._inner = _Server(self, front=False)
        self._outer = _Server(self, front=True)
        self.load_certificate()

    @property
    def inner_port(self) -> int:
        """Where Synapse listens."""
        return self._inner.port

    @property
    def outer_port(self) -> int:
        """Where Apache listens."""
        return self._outer.port

    def load_certificate(self) -> None:
        """Serve what is published now, as Apache does after a reload."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.settings.certificate.directory / "live.pem")
        self._outer.tls = context

    def __enter__(self) -> Self:
        for server in (self._inner, self._outer):
            server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._inner, self._outer):
            server.__exit__()


class _Server(Listening):
    def __init__(self, homeserver: Homeserver, *, front: bool) -> None:
        super().__init__(_Handler)
        self.homeserver = homeserver
        self.front = front


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""

    def do_GET(self) -> None:
        self._answer(*(self._apache() if self.server.front else self._synapse(self.path)))

    do_POST = do_OPTIONS = do_GET  # noqa: N815

    def _answer(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    # --- Apache

    def _apache(self) -> _Reply:
        faults, settings = self.server.homeserver.faults, self.server.homeserver.settings
        path = self.path
        if int(self.headers.get("Content-Length", 0)) > settings.upload_limit:
            if "no limit" in faults:
                return 502, {}, {}
            return 413, {"errcode": "M_TOO_LARGE"}, {} if "no CORS" in faults else CORS
        if path == "/packages-date" and self.server.homeserver.packages:
            date = format_datetime(self.server.homeserver.packages, usegmt=True)
            return 200, "", {"Last-Modified": date}
        if path.startswith("/.well-known/matrix/"):
            return self._well_known(PurePosixPath(path).name)
        if "canonical" in faults:
            path = path.replace("%74", "t")
        if "merges" in faults:
            path = path.replace("//", "/")
        if "decodes" in faults:
            path = path.replace("%25", "%")
        allowed = path.startswith(("/_matrix/", "/_synapse/client/"))
        if not allowed and "open" not in faults:
            return 403, {"errcode": "M_FORBIDDEN"}, {}
        if "unreached" in faults:
            return 503, {"errcode": "M_UNKNOWN"}, CORS
        return self._synapse(path)

    def _well_known(self, document: str) -> _Reply:
        homeserver = self.server.homeserver
        cors = {} if "no CORS" in homeserver.faults else CORS
        if self.command == "OPTIONS":
            if document == "support" and "plain support" in homeserver.faults:
                return 404, {"errcode": "M_NOT_FOUND"}, cors
            return (405 if "no OPTIONS" in homeserver.faults else 204), "", cors
        if document == "client":
            wrong = "wrong client" in homeserver.faults
            url = "https://elsewhere.org" if wrong else homeserver.settings.base_url
            return 200, {"m.homeserver": {"base_url": url}}, cors
        if document == "server":
            wrong = "wrong server" in homeserver.faults
            return 200, {"m.server": "x:1" if wrong else "matrix.example.org:443"}, cors
        return 404, {} if "no support" in homeserver.faults else {"errcode": "M_NOT_FOUND"}, cors

    # --- Synapse

    def _synapse(self, path: str) -> _Reply:
        homeserver = self.server.homeserver
        if path.startswith("/_matrix/client/v3/directory/room/"):
            if "no database" in homeserver.faults:
                return 500, {"errcode": "M_UNKNOWN"}, {}
            alias = unquote(path.rpartition("/")[2])
            return 404, {"errcode": "M_NOT_FOUND", "error": f"Room alias {alias} not found"}, {}
        if path in {"/_matrix/static/clien%74", "/_matrix/static/client"}:
            return 302, "", {"Location": f"{path}/"}
        routes: dict[str, Callable[[], _Reply]] = {
            "/_matrix/client/versions": lambda: (200, {"versions": []}, {}),
            "/_matrix/client/v3/login": self._login,
            "/_matrix/client/v3/devices": self._devices,
            "/_matrix/key/v2/server": self._keys,
            "/_matrix/federation/v1/version": self._version,
            "/_synapse/admin/v1/register": self._register,
            "/_synapse/admin/v1/server_version": lambda: (200, {"server_version": "1"}, {}),
        }
        if path not in routes:
            return 404, {"errcode": "M_UNRECOGNIZED"}, {}
        return routes[path]()

    def _version(self) -> _Reply:
        server = {"name": "Synapse", "version": self.server.homeserver.version}
        return 200, {"server": server}, {}

    def _body(self) -> Any:
        return json.loads(self.rfile.read(int(self.headers["Content-Length"])))

    def _register(self) -> _Reply:
        homeserver = self.server.homeserver
        if self.command == "GET":
            nonce = secrets.token_hex(8)
            homeserver.nonces.add(nonce)
            return 200, {"nonce": nonce}, {}
        body = self._body()
        homeserver.nonces.remove(body["nonce"])
        name, password, admin = body["username"], body["password"], body["admin"]
        text = "\0".join((body["nonce"], name, password, "admin" if admin else "notadmin"))
        secret = homeserver.settings.registration_shared_secret.reveal().encode()
        if body["mac"] != hmac.new(secret, text.encode(), hashlib.sha1).hexdigest():
            return 403, {"errcode": "M_UNKNOWN", "error": "HMAC incorrect"}, {}
        if name in homeserver.users:
            return 400, {"errcode": "M_USER_IN_USE", "error": "User ID already taken."}, {}
        homeserver.users[name] = (password, admin)
        return 200, {"user_id": f"@{name}:example.org", "access_token": "unused"}, {}

    def _login(self) -> _Reply:
        homeserver, body = self.server.homeserver, self._body()
        homeserver.logins += 1
        if "rate limit" in homeserver.faults:
            return 429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 324606}, {}
        name = body["identifier"]["user"]
        if homeserver.users.get(name, ("", False))[0] != body["password"]:
            return 403, {"errcode": "M_FORBIDDEN"}, {}
        token = secrets.token_hex(16)
        homeserver.tokens = {token: body["device_id"]}
        return 200, {"access_token": token}, {}

    def _devices(self) -> _Reply:
        homeserver = self.server.homeserver
        device = homeserver.tokens.get(
            self.headers.get("Authorization", "").removeprefix("Bearer ")
        )
        if device is None:
            return 401, {"errcode": "M_UNKNOWN_TOKEN"}, {}
        seen = self.client_address[0]
        for header in ("X-Forwarded-For", "Forwarded", "CF-Connecting-IP"):
            if f"believes {header}" in homeserver.faults:
                seen = self.headers[header].removeprefix("for=")
        homeserver.last_seen_ip = "" if "never notes" in homeserver.faults else seen
        devices = [{"device_id": device, "last_seen_ip": homeserver.last_seen_ip}]
        return 200, {"devices": devices}, {}

    def _keys(self) -> _Reply:
        homeserver = self.server.homeserver
        key = homeserver.signing_key
        keys: dict[str, Any] = {
            "server_name": "x.org" if "other name" in homeserver.faults else "example.org",
            "valid_until_ts": int(time.time() * 1000)
            + (-1000 if "expired keys" in homeserver.faults else 86_400_000),
            "verify_keys": {"ed25519:a_TEST": {"key": encode_base64(key.verify_key.encode())}},
        }
        if "other key" in homeserver.faults:
            keys["verify_keys"]["ed25519:a_TEST"]["key"] = encode_base64(bytes(32))
        signed = sign_json(keys, "example.org", key)
        if "forged keys" in homeserver.faults:
            signed["old_verify_keys"] = {"ed25519:a_EVIL": {"key": "x", "expired_ts": 1}}
        return 200, signed, {}
