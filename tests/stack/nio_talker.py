"""A client of matrix-nio in an encrypted conversation."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, TCPConnector
from nio import (
    AsyncClientConfig,
    DownloadResponse,
    EncryptionError,
    LocalProtocolError,
    MatrixRoom,
    MegolmEvent,
    RoomKeyEvent,
    RoomMessagesResponse,
    RoomMessageText,
    RoomSendResponse,
    SyncResponse,
    UploadResponse,
)
from nio.crypto import decrypt_attachment

from tests.stack.accounts import ThisMachine
from tests.stack.nio_client import CarefulClient
from tests.stack.talker import EVENTS_OF_A_SYNC, PAUSE, POLL_MILLISECONDS, Keys, Talker

_UNANSWERED: Final = (OSError, ClientError, asyncio.TimeoutError, LocalProtocolError)


@dataclass(kw_only=True)
class NioTalker(Talker):
    """The client keeps its keys below `folder`."""

    folder: Path
    _unread: list[MegolmEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the client, with the session of its person."""
        stack, user = self.person.stack, self.person.user_id
        self.folder.mkdir(exist_ok=True)
        self._client = CarefulClient(
            f"https://{stack.homeserver}:{stack.https_port}",
            user,
            device_id=self.device,
            store_path=str(self.folder),
            ssl=stack.trust(),
            config=AsyncClientConfig(
                store_sync_tokens=True,
                encryption_enabled=True,
                max_timeouts=1,
                max_limit_exceeded=1,
            ),
        )
        self._client.restore_login(user, self.device, self.person.token)
        self._client.keep_farthest_keys()
        self._client.add_event_callback(self._note, RoomMessageText)
        self._client.add_event_callback(self._note_undecryptable, MegolmEvent)
        self._client.add_to_device_callback(self._note_key, RoomKeyEvent)

    async def _note(self, _room: MatrixRoom, event: RoomMessageText) -> None:
        self.note_read(event.event_id, event.body)
        if not event.decrypted:
            self.undecryptable.append(f"{event.event_id} was never encrypted")

    async def _note_undecryptable(self, _room: MatrixRoom, event: MegolmEvent) -> None:
        self.undecryptable.append(event.event_id)
        self._unread.append(event)

    async def _note_key(self, key: RoomKeyEvent) -> None:
        for event in [each for each in self._unread if each.session_id == key.session_id]:
            with contextlib.suppress(EncryptionError):
                read = self._client.decrypt_event(event)
                self._unread.remove(event)
                self.note_read(read.event_id, read.body)

    async def connect(self) -> None:
        """Use this machine's names."""
        self._client.client_session = ClientSession(connector=TCPConnector(resolver=ThisMachine()))

    async def close(self) -> None:
        """Close its connections."""
        await self._client.close()
        # aiohttp, client, "Graceful Shutdown": a TLS connection is closed only a moment later.
        await asyncio.sleep(0.25)

    async def listen(self, ended: threading.Event) -> None:
        """Sync, and exchange keys."""
        client = self._client
        wanted = {"room": {"timeline": {"limit": EVENTS_OF_A_SYNC}}}
        while not ended.is_set():
            answer = await self._ask(lambda: client.sync(POLL_MILLISECONDS, wanted))
            if not isinstance(answer, SyncResponse):
                await asyncio.sleep(PAUSE)
                continue
            if client.should_upload_keys:
                await self._ask(client.keys_upload)
            if client.should_query_keys:
                await self._ask(client.keys_query)
            if client.should_claim_keys:
                await self._ask(lambda: client.keys_claim(client.get_users_for_key_claiming()))

    async def knows(self, others: Sequence[Talker]) -> bool:
        """Say whether it has seen the others in the room, and their devices' keys."""
        known = self._client.rooms.get(self.room)
        devices = self._client.device_store
        self._client.needed = frozenset((other.person.user_id, other.device) for other in others)
        return (
            known is not None
            and known.member_count == len(others) + 1
            and all(device in devices[user] for user, device in self._client.needed)
        )

    async def send(self, text: str, transaction: str) -> str | None:
        """Share the room's key with all the others, or send nothing."""
        client = self._client
        content = {"msgtype": "m.text", "body": text}
        answer = await self._ask(
            lambda: client.room_send(
                self.room, "m.room.message", content, transaction, ignore_unverified_devices=True
            )
        )
        return answer.event_id if isinstance(answer, RoomSendResponse) else None

    async def upload(self, content: bytes) -> tuple[str, Keys] | None:
        """Upload it in one piece."""
        work = self._client.upload(io.BytesIO(content), encrypt=True, filesize=len(content))
        answer, keys = await self._ask(lambda: work) or (None, None)
        return (answer.content_uri, keys) if isinstance(answer, UploadResponse) and keys else None

    async def download(self, uri: str, keys: Keys) -> bytes:
        """Download it as a signed-in client."""
        answer = await self._client.download(uri)
        assert isinstance(answer, DownloadResponse), answer
        assert isinstance(answer.body, bytes)
        checksum = keys["hashes"]["sha256"]
        return bytes(decrypt_attachment(answer.body, keys["key"]["k"], checksum, keys["iv"]))

    async def read_history(self) -> dict[str, str]:
        """Read the room back to its beginning."""
        history: dict[str, str] = {}
        start: str | None = ""
        while start is not None:
            page = await self._client.room_messages(self.room, start or None, limit=500)
            assert isinstance(page, RoomMessagesResponse), page
            history |= {e.event_id: e.body for e in page.chunk if isinstance(e, RoomMessageText)}
            start = page.end if page.chunk else None
        return history

    async def _ask(self, request: Callable[[], Any]) -> Any:
        # nio 0.26 takes a refused room key for a sign-out: its ShareGroupSessionError puts a set
        # where `soft_logout` belongs. Synapse's own sign-out would be in `failures`.
        self._client.access_token = self.person.token
        try:
            answer = await request()
        except _UNANSWERED as error:
            self.failures.append(repr(error))
            return None
        if type(answer).__name__.endswith("Error"):
            self.failures.append(f"{type(answer).__name__} {answer.__dict__}")
        return answer
