"""A small internet on 127.0.0.1: names, addresses of the blocks for documentation, public roots."""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Self

from signedjson.key import generate_signing_key
from signedjson.sign import sign_json
from unpaddedbase64 import encode_base64

from bundle_helper.federation.network import PUBLIC, Network, Place, Trust, new_context
from tests.helper.listening import Listening
from tests.helper.nameserver import NameServer
from tests.support.authority import Leaf, issue

if TYPE_CHECKING:
    from signedjson.types import SigningKey

KEYS = "/_matrix/key/v2/server"
VERSION = "/_matrix/federation/v1/version"
WELL_KNOWN = "/.well-known/matrix/server"


@dataclass(kw_only=True)
class Reply:
    """An answer; with `missing` it promises so many bytes more than it sends."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    missing: int = 0


def page(text: str = "<!doctype html><p>Just a moment", status: int = 200, **more: str) -> Reply:
    """Return a page of HTML; an underscore in a header's name stands for a hyphen."""
    headers = {name.replace("_", "-"): value for name, value in more.items()}
    return Reply(
        body=text.encode(), status=status, headers={"Content-Type": "text/html", **headers}
    )


class Site(Listening):
    """A TLS server with fixed pages; whoever asked is in `asked`: SNI, Host, target, User-Agent."""

    def __init__(self, leaf: Leaf, pages: dict[str, Reply]) -> None:
        super().__init__(_Handler)
        self.pages = pages
        self.asked: list[tuple[str | None, str, str, str]] = []
        self.present(leaf)

    def present(self, leaf: Leaf) -> None:
        """Serve with this certificate from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(leaf.bundle)
            file.flush()
            context.load_cert_chain(file.name)
        context.sni_callback = _note_sni
        self.tls = context


def _note_sni(connected: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
    connected.sni = name  # type: ignore[attr-defined]


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""

    def do_GET(self) -> None:
        sni = getattr(self.connection, "sni", None)
        agent = self.headers.get("User-Agent", "")
        self.server.asked.append((sni, self.headers["Host"], self.path, agent))
        reply = self.server.pages.get(self.path) or Reply(body=b"no such page", status=404)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response_only(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + reply.missing))
        self.end_headers()
        self.wfile.write(body)


class SmallInternet:
    """Sites at made-up addresses; nothing else is reached from within."""

    def __init__(self) -> None:
        self.root = issue("public root of the tests")
        self.dns = NameServer({})
        self.sites: dict[Place, Site] = {}
        self.silent: set[str] = set()
        self.without_way: set[str] = set()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._open.enter_context(self.dns)
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def name(self, name: str, kind: str, *values: str) -> None:
        """Put records into DNS."""
        self.dns.table[name, kind] = list(values)

    def serve(self, name: str, *places: str, pages: dict[str, Reply] | None = None) -> Site:
        """Let a site with a certificate for `name` listen at `address:port`, once or more often."""
        site = self._open.enter_context(
            Site(issue(name, self.root), {} if pages is None else pages)
        )
        for place in places:
            address, _, port = place.rpartition(":")
            self.sites[Place(address.strip("[]"), int(port))] = site
        return site

    def dial(self, place: Place, seconds: float) -> socket.socket:
        """Connect to whoever is at a made-up address."""
        if place.address in self.silent:
            raise TimeoutError
        if place.address in self.without_way:
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        if place not in self.sites:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        return socket.create_connection(("127.0.0.1", self.sites[place].port), seconds)

    def network(self, *more: Trust) -> Network:
        """Return the way into this internet, its root being the public one."""
        context = new_context()
        context.load_verify_locations(cadata=self.root.pem)
        public = Trust(name=PUBLIC, context=context)
        return Network(resolver=self.dns.resolver(), dial=self.dial, trusts=(public, *more))


def sign_keys(name: str, key: SigningKey | None = None, **changes: Any) -> dict[str, Any]:
    """Return a document of published keys, changed before it is signed."""
    key = key or generate_signing_key("a_TEST")
    document = {
        "server_name": name,
        "valid_until_ts": int(time.time() * 1000) + 86_400_000,
        "verify_keys": {f"ed25519:{key.version}": {"key": encode_base64(key.verify_key.encode())}},
        "old_verify_keys": {},
        **changes,
    }
    return sign_json(document, str(document["server_name"]), key)


def matrix_pages(name: str, **changes: Any) -> dict[str, Reply]:
    """Return what a homeserver answers to those who do not sign."""
    return {
        KEYS: Reply(body=sign_keys(name, **changes)),
        VERSION: Reply(body={"server": {"name": "Synapse", "version": "1.157.2"}}),
    }
