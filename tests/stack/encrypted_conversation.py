"""Two clients of matrix-nio in an encrypted room: they talk and send files all the while."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aiohttp import ClientError, ClientSession, TCPConnector
from nio import (
    AsyncClient,
    AsyncClientConfig,
    DownloadResponse,
    LocalProtocolError,
    MatrixRoom,
    MegolmEvent,
    RoomMessagesResponse,
    RoomMessageText,
    RoomSendResponse,
    ShareGroupSessionResponse,
    SyncResponse,
    UploadResponse,
)
from nio.crypto import decrypt_attachment

from tests.stack.accounts import Person, ThisMachine, register
from tests.stack.background_traffic import BackgroundTraffic
from tests.support.matrix import escape
from tests.support.stacks import Stack
from tests.support.waiting import PATIENCE, wait_for

_PAUSE: Final = 0.2
_POLL_MILLISECONDS: Final = 2000
# With Synapse's default of 10 a slow client has gaps, and never sees what is in them.
_FILTER: Final = {"room": {"timeline": {"limit": 100}}}
_MESSAGES_PER_FILE: Final = 4
_FILE_BYTES: Final = 200_000
_UNANSWERED: Final = (OSError, ClientError, asyncio.TimeoutError, LocalProtocolError)


@dataclass(kw_only=True)
class Talker:
    """One client: what the server acknowledged, what it has read, and what went wrong."""

    person: Person
    client: AsyncClient
    acknowledged: dict[str, str] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[bytes, dict[str, Any]]] = field(default_factory=dict)
    undecryptable: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    sending: bool = True
    online: bool = True


@dataclass(kw_only=True)
class Conversation(BackgroundTraffic):
    """Alice and Bob in one encrypted room; each message is sent until it is acknowledged."""

    talkers: tuple[Talker, Talker]
    room: str
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def acknowledged(self) -> dict[str, str]:
        """Return every message that the server acknowledged, by its event id."""
        return {event: text for t in self.talkers for event, text in t.acknowledged.copy().items()}

    def wait_for_more(self, number: int = 3) -> None:
        """Wait until each has sent so many more messages, and the other one has read them."""
        wanted = {id(t): len(t.acknowledged) + number for t in self.talkers if t.sending}
        try:
            wait_for(
                lambda: all(len(t.acknowledged) >= wanted.get(id(t), 0) for t in self.talkers),
                "encrypted messages are acknowledged",
            )
        except AssertionError as error:
            error.add_note(f"refused: {[list(dict.fromkeys(t.failures)) for t in self.talkers]}")
            raise
        self.wait_until_read()

    def wait_until_read(self) -> None:
        """Wait until whoever is online has read everything that was acknowledged until now."""
        expected = self.acknowledged()
        for talker in self.talkers:
            if talker.online:
                wait_for(
                    lambda reader=talker: expected.keys() <= reader.read.keys(),  # type: ignore[misc]
                    "every acknowledged message is read",
                )

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Let nobody send meanwhile."""
        before = [talker.sending for talker in self.talkers]
        for talker in self.talkers:
            talker.sending = False
        try:
            yield
        finally:
            for talker, sending in zip(self.talkers, before, strict=True):
                talker.sending = sending

    def accept_rollback(self) -> set[str]:
        """Give up the messages that the restored server does not have; return their event ids."""
        known: dict[str, str] = self._do(_read_history(self.talkers[0].client, self.room))
        lost = self.acknowledged().keys() - known.keys()
        for talker in self.talkers:
            for event in lost:
                talker.acknowledged.pop(event, None)
        return lost

    def assert_files_are_whole(self) -> None:
        """Fail unless every file is what was sent, decrypted."""
        with self.silence():
            for talker in self.talkers:
                assert talker.files
                # A copy: another thread may be adding the last one.
                for uri, (content, keys) in talker.files.copy().items():
                    answer = self._do(talker.client.download(uri))
                    assert isinstance(answer, DownloadResponse), answer
                    assert isinstance(answer.body, bytes)
                    key, checksum = keys["key"]["k"], keys["hashes"]["sha256"]
                    assert decrypt_attachment(answer.body, key, checksum, keys["iv"]) == content

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def assert_nothing_is_lost(self) -> None:
        """Fail unless both read every acknowledged message, once, and could decrypt everything."""
        with self.silence():
            self.wait_until_read()
            expected = self.acknowledged()
            for talker in self.talkers:
                history = self._do(_read_history(talker.client, self.room))
                assert talker.undecryptable == []
                assert {e: t for e, t in expected.items() if history.get(e) != t} == {}
                assert len(set(history.values())) == len(history), "a message is there twice"

    def _work(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()

    async def _run(self) -> None:
        for talker in self.talkers:
            connector = TCPConnector(resolver=ThisMachine())
            talker.client.client_session = ClientSession(connector=connector)
        try:
            await asyncio.gather(
                *(_sync(talker, self._ended) for talker in self.talkers),
                *(self._send(talker) for talker in self.talkers),
            )
        finally:
            for talker in self.talkers:
                await talker.client.close()
        # aiohttp, client, "Graceful Shutdown": a TLS connection is closed only a moment later.
        await asyncio.sleep(0.25)

    async def _send(self, talker: Talker) -> None:
        number = 0
        while not self._ended.is_set():
            await asyncio.sleep(_PAUSE)
            if not talker.sending or not all(map(self._can_be_read, self.talkers)):
                continue
            text = f"{talker.person.user_id} says {number}"
            answer = await _send_message(talker, self.room, text, number)
            if isinstance(answer, RoomSendResponse):
                talker.acknowledged[answer.event_id] = text
                number += 1
                if number % _MESSAGES_PER_FILE == 0:
                    await _send_file(talker)

    def _can_be_read(self, talker: Talker) -> bool:
        """Say whether a client knows the other's device: before that it would encrypt for nobody."""
        known = talker.client.rooms.get(self.room)
        devices = talker.client.device_store
        others = (other for other in self.talkers if other is not talker)
        return (
            known is not None
            and known.member_count == len(self.talkers)
            and all(other.client.device_id in devices[other.person.user_id] for other in others)
        )


def open_conversation(stack: Stack, folder: Path) -> Conversation:
    """Return a conversation of two new accounts; the clients keep their keys below `folder`."""
    alice, bob = (register(stack, admin=True) for _ in range(2))
    for person in (alice, bob):
        path = f"/_synapse/admin/v1/users/{escape(person.user_id)}/override_ratelimit"
        stack.ask_synapse("POST", path, body={"messages_per_second": 0}, token=person.token)
    encryption = {
        "type": "m.room.encryption",
        "state_key": "",
        "content": {"algorithm": "m.megolm.v1.aes-sha2"},
    }
    room = alice.create_room(invite=[bob.user_id], initial_state=[encryption])
    bob.call("POST", f"/rooms/{escape(room)}/join", {})
    talkers = [_open_talker(stack, person, folder) for person in (alice, bob)]
    return Conversation(talkers=(talkers[0], talkers[1]), room=room)


def _open_talker(stack: Stack, person: Person, folder: Path) -> Talker:
    folder.mkdir(exist_ok=True)
    whoami = person.call("GET", "/account/whoami")
    client = AsyncClient(
        f"https://{stack.homeserver}:{stack.https_port}",
        person.user_id,
        device_id=whoami["device_id"],
        store_path=str(folder),
        ssl=stack.trust(),
        config=AsyncClientConfig(
            store_sync_tokens=True, encryption_enabled=True, max_timeouts=1, max_limit_exceeded=1
        ),
    )
    client.restore_login(person.user_id, whoami["device_id"], person.token)
    talker = Talker(person=person, client=client)

    async def note(_room: MatrixRoom, event: RoomMessageText) -> None:
        talker.read[event.event_id] = event.body

    async def note_undecryptable(_room: MatrixRoom, event: MegolmEvent) -> None:
        talker.undecryptable.append(event.event_id)

    client.add_event_callback(note, RoomMessageText)
    client.add_event_callback(note_undecryptable, MegolmEvent)
    return talker


async def _sync(talker: Talker, ended: threading.Event) -> None:
    client = talker.client
    while not ended.is_set():
        if not talker.online:
            await asyncio.sleep(_PAUSE)
            continue
        if not isinstance(
            await _ask(talker, lambda: client.sync(_POLL_MILLISECONDS, _FILTER)), SyncResponse
        ):
            await asyncio.sleep(_PAUSE)
            continue
        if client.should_upload_keys:
            await _ask(talker, client.keys_upload)
        if client.should_query_keys:
            await _ask(talker, client.keys_query)
        if client.should_claim_keys:
            await _ask(talker, lambda: client.keys_claim(client.get_users_for_key_claiming()))


async def _send_message(talker: Talker, room: str, text: str, number: int) -> Any:
    client = talker.client
    if client.olm.should_share_group_session(room):
        # If the server refuses the room's key, nio 0.26 takes it for shared and sends: nobody could
        # ever read that message.
        shared = await _ask(talker, lambda: client.share_group_session(room, True))
        if not isinstance(shared, ShareGroupSessionResponse) or not shared.users_shared_with:
            client.invalidate_outbound_session(room)
            return None
    content = {"msgtype": "m.text", "body": text}
    # A message that is sent again is the same one to the server.
    transaction = f"{talker.person.user_id}-{number}"
    return await _ask(
        talker,
        lambda: client.room_send(
            room, "m.room.message", content, transaction, ignore_unverified_devices=True
        ),
    )


async def _send_file(talker: Talker) -> None:
    content = os.urandom(_FILE_BYTES)
    upload = talker.client.upload(io.BytesIO(content), encrypt=True, filesize=len(content))
    answer, keys = await _ask(talker, lambda: upload) or (None, None)
    if isinstance(answer, UploadResponse) and keys:
        talker.files[answer.content_uri] = (content, keys)


async def _ask(talker: Talker, request: Callable[[], Any]) -> Any:
    # nio 0.26 takes a refused room key for a sign-out: its ShareGroupSessionError puts a set where
    # `soft_logout` belongs. Synapse's own sign-out would be in `failures`.
    talker.client.access_token = talker.person.token
    try:
        answer = await request()
    except _UNANSWERED as error:
        talker.failures.append(repr(error))
        return None
    if type(answer).__name__.endswith("Error"):
        talker.failures.append(f"{type(answer).__name__} {answer.__dict__}")
    return answer


async def _read_history(client: AsyncClient, room: str) -> dict[str, str]:
    history: dict[str, str] = {}
    start: str | None = ""
    while start is not None:
        page = await client.room_messages(room, start or None, limit=500)
        assert isinstance(page, RoomMessagesResponse), page
        history |= {e.event_id: e.body for e in page.chunk if isinstance(e, RoomMessageText)}
        start = page.end if page.chunk else None
    return history
