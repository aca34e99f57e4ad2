"""Clients in an encrypted room, who talk and send files all the while."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.stack.accounts import Person, register
from tests.stack.background_traffic import BackgroundTraffic
from tests.stack.matrix_js_talker import MatrixJsTalker
from tests.stack.nio_talker import NioTalker
from tests.stack.talker import PAUSE, Talker
from tests.support.matrix import escape
from tests.support.stacks import Stack
from tests.support.waiting import PATIENCE, wait_for

_MESSAGES_PER_FILE: Final = 4
_FILE_BYTES: Final = 200_000


@dataclass(kw_only=True)
class Conversation(BackgroundTraffic):
    """Some people in one encrypted room; each message is sent until it is acknowledged.

    It begins with a rehearsal, whose messages alone do not count.
    """

    talkers: tuple[Talker, ...]
    _rehearsed: set[str] = field(default_factory=set)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def acknowledged(self) -> dict[str, str]:
        """Return every message that the server acknowledged, by its event id."""
        return {event: text for t in self.talkers for event, text in t.acknowledged.copy().items()}

    def wait_for_more(self, number: int = 3) -> None:
        """Wait until each has sent so many more messages, and the others have read them."""
        wanted = [len(t.acknowledged) + number for t in self.talkers]
        try:
            wait_for(
                lambda: all(
                    len(t.acknowledged) >= n for t, n in zip(self.talkers, wanted, strict=True)
                ),
                "encrypted messages are acknowledged",
            )
        except AssertionError as error:
            error.add_note(f"refused: {[list(dict.fromkeys(t.failures)) for t in self.talkers]}")
            raise
        self.wait_until_read()

    def wait_until_read(self) -> None:
        """Wait until everybody has read everything that was acknowledged until now."""
        expected = self.acknowledged()
        for talker in self.talkers:
            wait_for(
                lambda reader=talker: expected.keys() <= reader.read.keys(),  # type: ignore[misc]
                f"every acknowledged message is read by {talker.person.user_id}",
            )

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Let nobody send meanwhile; whoever is sending first finishes that."""
        for talker in self.talkers:
            talker.sending = False
        try:
            wait_for(lambda: not any(talker.busy for talker in self.talkers), "nobody sends")
            yield
        finally:
            for talker in self.talkers:
                talker.sending = True

    def accept_rollback(self) -> set[str]:
        """Give up the messages that the restored server does not have; return their event ids."""
        known: dict[str, str] = self._do(self.talkers[0].read_history())
        lost = self.acknowledged().keys() - known.keys()
        for talker in self.talkers:
            for event in lost:
                talker.acknowledged.pop(event, None)
        return lost

    def assert_files_are_whole(self) -> None:
        """Fail unless each file is what was sent, decrypted by everybody."""
        with self.silence():
            for sender in self.talkers:
                assert sender.files
                for uri, (content, keys) in sender.files.items():
                    for reader in self.talkers:
                        assert self._do(reader.download(uri, keys)) == content

    def assert_nothing_is_lost(self) -> None:
        """Fail unless all read every acknowledged message, once, and could decrypt everything."""
        with self.silence():
            self.wait_until_read()
            expected = self.acknowledged()
            for talker in self.talkers:
                history = self._do(talker.read_history())
                assert set(talker.undecryptable) <= self._rehearsed
                lost = {e: (t, history.get(e)) for e, t in expected.items() if history.get(e) != t}
                assert lost == {}, f"{talker.person.user_id} ({type(talker).__name__})"
                assert len(set(history.values())) == len(history), "a message is there twice"

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def _work(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        finally:
            self._loop.close()

    async def _run(self) -> None:
        for talker in self.talkers:
            await talker.connect()
        try:
            await asyncio.gather(
                *(talker.listen(self._ended) for talker in self.talkers),
                self._talk_to_each_other(),
            )
        finally:
            for talker in self.talkers:
                await talker.close()

    async def _talk_to_each_other(self) -> None:
        # A key from a device that a client does not know yet is dropped, and with it what it decrypts.
        known = False
        while not (known or self._ended.is_set()):
            await asyncio.sleep(PAUSE)
            known = await self._know_each_other()
        number = 0
        while not (self._ended.is_set() or await self._rehearse(number)):
            number += 1
        await asyncio.gather(*(self._talk(talker) for talker in self.talkers))

    async def _know_each_other(self) -> bool:
        others = [[other for other in self.talkers if other is not t] for t in self.talkers]
        known = [await t.knows(those) for t, those in zip(self.talkers, others, strict=True)]
        return all(known)

    async def _rehearse(self, number: int) -> bool:
        """Let one after the other send a message; say whether everybody could read all of them.

        Synapse gives one of two clients that claim a key of the same device at the same moment none.
        nio has no fallback key, so what such a client sends then, nobody can read on that device.
        """
        seen = [await self._send_one(talker, number) for talker in self.talkers]
        return all(event in talker.read for event in seen for talker in self.talkers)

    async def _send_one(self, talker: Talker, number: int) -> str | None:
        """Send a message that does not count; wait until all have seen it, decrypted or not."""
        event, user = None, talker.person.user_id
        while not (event or self._ended.is_set()):
            event = await talker.send(f"{user} rehearses {number}", f"{user}-rehearsal-{number}")
            await asyncio.sleep(PAUSE)
        if event:
            self._rehearsed.add(event)
        while not self._ended.is_set():
            if all(event in reader.seen() for reader in self.talkers):
                break
            await asyncio.sleep(PAUSE)
        return event

    async def _talk(self, talker: Talker) -> None:
        number = 0
        while not self._ended.is_set():
            await asyncio.sleep(PAUSE)
            # In this order: `silence` asks from another thread.
            talker.busy = True
            if talker.sending:
                number += await self._say(talker, number)
            talker.busy = False

    async def _say(self, talker: Talker, number: int) -> bool:
        """Send a message, and after some of them a file; say whether the server has the message."""
        text = f"{talker.person.user_id} says {number}"
        # A message that is sent again is the same one to the server.
        event = await talker.send(text, f"{talker.person.user_id}-{number}")
        if event is None:
            return False
        talker.acknowledged[event] = text
        if (number + 1) % _MESSAGES_PER_FILE == 0:
            content = os.urandom(_FILE_BYTES)
            if made := await talker.upload(content):
                uri, keys = made
                talker.files[uri] = (content, keys)
        return True


def open_conversation(stack: Stack, folder: Path, matrix_js: Path | None = None) -> Conversation:
    """Return a conversation of new accounts: two of matrix-nio, which keep their keys in `folder`.

    A third one is of matrix-js-sdk, with the packages in `matrix_js`.
    """
    people = [register(stack, admin=True) for _ in range(3 if matrix_js else 2)]
    for person in people:
        path = f"/_synapse/admin/v1/users/{escape(person.user_id)}/override_ratelimit"
        stack.ask_synapse("POST", path, body={"messages_per_second": 0}, token=person.token)
    encryption = {
        "type": "m.room.encryption",
        "state_key": "",
        "content": {"algorithm": "m.megolm.v1.aes-sha2"},
    }
    first, *others = people
    room = first.create_room(invite=[other.user_id for other in others], initial_state=[encryption])
    for other in others:
        other.call("POST", f"/rooms/{escape(room)}/join", {})
    talkers: list[Talker] = [
        NioTalker(person=person, device=find_device(person), room=room, folder=folder)
        for person in people[:2]
    ]
    if matrix_js:
        person = people[2]
        device = find_device(person)
        talkers.append(MatrixJsTalker(person=person, device=device, room=room, packages=matrix_js))
    return Conversation(talkers=tuple(talkers))


def find_device(person: Person) -> str:
    """Return the device of a person's only session."""
    [device] = person.call("GET", "/devices")["devices"]
    return str(device["device_id"])
