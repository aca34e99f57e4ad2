"""A restored server in use: what a client does with it, and whether it still has its key and files."""

from __future__ import annotations

import hashlib
import http.client
import json
import secrets
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .. import exchange, synapse
from ..accounts.registration import CHECK_USER
from ..check.sign_in import open_session
from ..check.signing_key import find_problems, key_id
from ..errors import HelperError
from ..exchange import ExchangeError, Request
from ..federation.keys import TARGET
from .expectation import LARGEST, read_expectation

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..exchange import Answer
    from ..settings.drill_settings import DrillSettings
    from .media_sample import Media

# It starts cold, on a machine where another server is at work.
_PATIENCE_SECONDS: Final = 60.0
_UPLOAD_BYTES: Final = 100_000


def prove(settings: DrillSettings, tell: Callable[[str], None]) -> None:
    """Use the restored server as a client does; HelperError with the first thing that does not work."""
    expected = read_expectation(settings.drill_file)
    _prove_key(settings)
    tell(f"it serves the signing key of the folder, {key_id(settings)}")
    client = _Client(settings=settings, token=open_session(settings, _PATIENCE_SECONDS))
    tell(f"signed in as @{CHECK_USER}:{settings.server_name}")
    _prove_events(client)
    tell("sent an event, and read it back")
    _prove_upload(client)
    tell("uploaded a file, and downloaded it")
    _prove_media(client, expected.media)
    tell(_describe_media(len(expected.media)))
    tell(f"the set {expected.set} is a working server")


@dataclass(frozen=True, kw_only=True)
class _Client:
    """A session with the restored server."""

    settings: DrillSettings
    token: str

    def ask(self, request: Request) -> Answer:
        headers = {**request.headers, "Authorization": f"Bearer {self.token}"}
        return _ask(self.settings, Request(**vars(request) | {"headers": headers}))

    def call(self, method: str, path: str, body: bytes) -> dict[str, Any]:
        """Return what Synapse answers; HelperError if it refuses."""
        request = Request(
            method=method,
            target=path,
            headers={"Content-Type": "application/octet-stream"},
            body=body,
        )
        answer = self.ask(request)
        if answer.status != HTTPStatus.OK:
            raise HelperError(
                f"Synapse answers {method} {path} with {answer.status} {answer.errcode}".rstrip()
            )
        return answer.json()

    def download(self, server: str, media: str) -> Answer:
        return self.ask(
            Request(target=f"/_matrix/client/v1/media/download/{server}/{quote(media)}")
        )


def _ask(settings: DrillSettings, request: Request) -> Answer:
    endpoint = synapse.endpoint(settings)
    try:
        with exchange.connect(endpoint, _PATIENCE_SECONDS) as connected:
            return exchange.converse(connected, endpoint.host, request, LARGEST + 1)
    except (OSError, http.client.HTTPException) as error:
        raise ExchangeError(endpoint, error) from error


def _prove_key(settings: DrillSettings) -> None:
    document = _ask(settings, Request(target=TARGET)).json()
    if problems := list(find_problems(document, settings)):
        raise HelperError(
            f"it has another signing key: {'; '.join(problems)}. Put the file back into secrets/ that"
            " belongs to this server; every set contains it."
        )


def _prove_events(client: _Client) -> None:
    room = client.call("POST", "/_matrix/client/v3/createRoom", b"{}")["room_id"]
    base = f"/_matrix/client/v3/rooms/{quote(room, safe='')}"
    sent = {"msgtype": "m.notice", "body": secrets.token_hex(8)}
    event = client.call("PUT", f"{base}/send/m.room.message/drill", json.dumps(sent).encode())
    path = f"{base}/event/{quote(event['event_id'], safe='')}"
    if client.call("GET", path, b"").get("content") != sent:
        raise HelperError("an event was sent, and another one read back")


def _prove_upload(client: _Client) -> None:
    content = secrets.token_bytes(_UPLOAD_BYTES)
    uploaded = client.call("POST", "/_matrix/media/v3/upload", content)["content_uri"]
    answer = client.download(*uploaded.removeprefix("mxc://").split("/"))
    if answer.body != content:
        raise HelperError(f"a file was uploaded, and the download is another one: {answer.status}")


def _prove_media(client: _Client, sample: tuple[Media, ...]) -> None:
    faults = [fault for media in sample if (fault := _find_fault(client, media))]
    if faults:
        raise HelperError("files of the set are not what was uploaded:\n  " + "\n  ".join(faults))


def _find_fault(client: _Client, media: Media) -> str | None:
    answer = client.download(client.settings.server_name, media.id)
    if answer.status != HTTPStatus.OK:
        return f"the file {media.id} is not there: {answer.status} {answer.errcode}".rstrip()
    if len(answer.body) != media.length:
        return f"the file {media.id} has {len(answer.body)} bytes, not {media.length}"
    if media.sha256 not in {None, hashlib.sha256(answer.body).hexdigest()}:
        return f"the file {media.id} has another content than the one that was uploaded"
    return None


def _describe_media(count: int) -> str:
    if count == 0:
        return "the set names no file to compare"
    return f"downloaded {count} of its files, which are as they were uploaded"
