"""A publisher of lists on the loopback, strict about what it is asked, and signed lists of any content."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bundle_helper.settings.release_settings import ReleaseSettings
from tests.helper.listening import Listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATH = "/matrix/releases.signed"
# The only request there may be, whoever asks: nothing in it tells servers apart.
HEADERS = {"Connection": "close", "User-Agent": "synapse-bundle"}


def write_part(newest: str, floor: str | None = None) -> dict[str, Any]:
    """Return a part with a newest release, and a floor that is a security release."""
    releases = [{"version": newest, "date": "2026-11", "security": floor == newest}]
    if floor not in {None, newest}:
        releases.append({"version": floor, "date": "2026-10-01", "security": True})
    content: dict[str, Any] = {"advice": f"Install {newest}.", "releases": releases}
    return content if floor is None else {**content, "floor": floor}


def write_content(serial: int = 1, **changes: Any) -> dict[str, Any]:
    """Return the content of a good list, of today, with changes."""
    today = date.today()  # noqa: DTZ011
    return {
        "format": 1,
        "serial": serial,
        "issued": f"{today}",
        "expires": f"{today + timedelta(days=45)}",
        "parts": {"synapse": write_part("1.164.2", "1.163.2")},
    } | changes


def sign(key: Ed25519PrivateKey, content: Any) -> bytes:
    """Return a signed list; bytes are signed as they are."""
    text = content if isinstance(content, bytes) else f"{json.dumps(content)}\n".encode()
    return base64.b64encode(key.sign(text)) + b"\n" + text


@pytest.fixture(scope="session")
def key() -> Ed25519PrivateKey:
    """The key that signs lists."""
    return Ed25519PrivateKey.generate()


@pytest.fixture
def keys_file(key: Ed25519PrivateKey, tmp_path: Path) -> Path:
    """The file with its public half."""
    file = tmp_path / "release_keys.pem"
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    file.write_bytes(pem)
    return file


class Publisher(Listening):
    """Publishes `content`; `answer`, if set, is called instead."""

    def __init__(self) -> None:
        super().__init__(Shelf)
        self.content = b""
        self.answer: Callable[[Shelf], None] | None = None
        self.requests = 0
        self.faults: list[str] = []


class Shelf(BaseHTTPRequestHandler):
    """Notes whatever is not the one request that is allowed."""

    server: Publisher

    def do_GET(self) -> None:
        """Answer with the list."""
        self.server.requests += 1
        headers = dict(self.headers.items())
        headers.pop("Host")
        if self.path != PATH or headers != HEADERS:
            self.server.faults.append(f"{self.path} {headers}")
        if self.server.answer is not None:
            self.server.answer(self)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.send_header("Set-Cookie", "reader=1; Max-Age=99999")
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""


@pytest.fixture
def publisher(key: Ed25519PrivateKey) -> Iterator[Publisher]:
    """Run a publisher of a good list, and refuse every request that could tell servers apart."""
    with Publisher() as publisher:
        publisher.content = sign(key, write_content())
        yield publisher
    assert publisher.faults == []


@pytest.fixture
def releases(publisher: Publisher, keys_file: Path, tmp_path: Path) -> ReleaseSettings:
    """The settings of a reader of that publisher."""
    (tmp_path / "releases").mkdir()
    return ReleaseSettings(
        source=f"http://127.0.0.1:{publisher.port}{PATH}",
        keys_file=keys_file,
        directory=tmp_path / "releases",
    )


@pytest.fixture
def from_file(releases: ReleaseSettings, publisher: Publisher, tmp_path: Path) -> ReleaseSettings:
    """The settings of a reader of a file with the same list."""
    file = tmp_path / "releases.signed"
    file.write_bytes(publisher.content)
    return replace(releases, source=file)
