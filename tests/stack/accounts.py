"""Accounts on a homeserver, and what their clients do."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import ClientSession, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
from nio import AsyncClient, AsyncClientConfig

from tests.support.http import Answer
from tests.support.matrix import CLIENT, escape
from tests.support.stacks import Stack

NUMBERS: Iterator[int] = itertools.count(1)
# nio itself asks a server that is gone again for ever.
CLIENT_PATIENCE: Final = AsyncClientConfig(max_timeouts=10, max_limit_exceeded=10)


@dataclass(frozen=True, kw_only=True)
class Person:
    """A user with an access token."""

    stack: Stack
    user_id: str
    token: str

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """Ask the client API through Apache; `path` goes out byte for byte."""
        return self.stack.ask(method, CLIENT + path, body=body, token=self.token)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask for something that must work, and return the document."""
        answer = self.ask(method, path, body)
        assert answer.status == 200, f"{method} {path}: {answer.status} {answer.body[:500]!r}"
        return answer.json

    def create_room(self, **options: Any) -> str:
        """Create a room and return its id."""
        return str(self.call("POST", "/createRoom", options)["room_id"])

    def send(self, room: str, text: str) -> str:
        """Send a message and return the event's id."""
        path = f"/rooms/{escape(room)}/send/m.room.message/{next(NUMBERS)}"
        return str(self.call("PUT", path, {"msgtype": "m.text", "body": text})["event_id"])

    def read(self, room: str) -> list[str]:
        """Return the latest messages of a room, the newest first."""
        chunk = self.call("GET", f"/rooms/{escape(room)}/messages?dir=b&limit=50")["chunk"]
        return [event["content"].get("body", "") for event in chunk]

    def upload(self, data: bytes) -> Answer:
        """Upload a file through Apache."""
        return self.stack.ask(
            "POST",
            "/_matrix/media/v3/upload?filename=file.bin",
            body=data,
            token=self.token,
            headers={"Content-Type": "application/octet-stream"},
        )

    def download(self, uri: str) -> Answer:
        """Fetch a file by its mxc address, as a signed-in client must."""
        media = uri.removeprefix("mxc://")
        path = f"/_matrix/client/v1/media/download/{media}"
        return self.stack.ask("GET", path, token=self.token)


def register(stack: Stack, localpart: str = "", *, admin: bool = False) -> Person:
    """Make an account with the registration secret, as an administrator does on the machine."""
    name = localpart or f"person-{next(NUMBERS)}"
    answer = try_to_register(stack, name, stack.secret("registration_shared_secret"), admin=admin)
    assert answer.status == 200, answer.body
    person = answer.json
    return Person(stack=stack, user_id=person["user_id"], token=person["access_token"])


def try_to_register(stack: Stack, name: str, secret: str, *, admin: bool = False) -> Answer:
    """Ask for an account with a registration secret."""
    path = "/_synapse/admin/v1/register"
    nonce = stack.ask_synapse("GET", path).json["nonce"]
    rank = "admin" if admin else "notadmin"
    message = "\0".join((nonce, name, "a long password", rank)).encode()
    body = {
        "nonce": nonce,
        "username": name,
        "password": "a long password",
        "admin": admin,
        "mac": hmac.new(secret.encode(), message, hashlib.sha1).hexdigest(),
    }
    return stack.ask_synapse("POST", path, body=body)


class ThisMachine(AbstractResolver):
    """Every name is this machine, so that a client can use the homeserver's real name."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the loopback address for any name."""
        return [
            ResolveResult(
                hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0
            )
        ]

    async def close(self) -> None:
        """Hold nothing."""


@asynccontextmanager
async def open_client(stack: Stack, localpart: str) -> AsyncIterator[AsyncClient]:
    """Open a real Matrix client that verifies the homeserver's name and trusts its authority only."""
    address = f"https://{stack.homeserver}:{stack.https_port}"
    user = f"@{localpart}:{stack.server_name}"
    client = AsyncClient(address, user, config=CLIENT_PATIENCE, ssl=stack.trust())
    client.client_session = ClientSession(connector=TCPConnector(resolver=ThisMachine()))
    try:
        yield client
    finally:
        await client.close()
