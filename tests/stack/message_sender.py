"""A client that sends without pause, tries again until it is answered, and remembers each answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any, Final

from tests.stack.accounts import Person, register
from tests.stack.background_traffic import BackgroundTraffic
from tests.support.http import Answer
from tests.support.matrix import CLIENT, escape
from tests.support.stacks import Stack
from tests.support.waiting import wait_for

PAUSE: Final = 0.05


@dataclass(kw_only=True)
class Sender(BackgroundTraffic):
    """Sends numbered messages into a room of its own while it is open.

    A message goes out under the same transaction id until it is acknowledged, as clients do.
    """

    person: Person
    room: str
    door: Callable[..., Answer]
    acknowledged: dict[str, str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def wait_for_more(self, number: int = 5) -> None:
        """Wait until so many more messages are acknowledged."""
        wanted = len(self.acknowledged) + number
        try:
            wait_for(lambda: len(self.acknowledged) >= wanted, "messages are acknowledged")
        except AssertionError as error:
            error.add_note(f"refused: {self.failures[-3:]}")
            raise

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Do something that the sender must notice: wait until a message has been refused."""
        before = len(self.failures)
        yield
        wait_for(lambda: len(self.failures) > before, "a message is refused")

    def assert_nothing_is_lost(self) -> None:
        """Fail unless every acknowledged message is in the room, and no message is there twice."""
        events = self._read_room()
        missing = {text for event, text in self.acknowledged.items() if event not in events}
        assert missing == set(), f"acknowledged and lost; refusals: {self.failures[-5:]}"
        twice = [text for text, times in Counter(events.values()).items() if times > 1]
        assert twice == []

    def _work(self) -> None:
        number = 0
        while not self._ended.wait(PAUSE):
            path = f"{CLIENT}/rooms/{escape(self.room)}/send/m.room.message/{number}"
            body = {"msgtype": "m.text", "body": f"message {number}"}
            try:
                answer = self.door("PUT", path, body=body, token=self.person.token)
            except (OSError, HTTPException) as error:
                self.failures.append(repr(error))
                continue
            if answer.status == 200:
                self.acknowledged[answer.json["event_id"]] = body["body"]
                number += 1
            else:
                self.failures.append(f"{answer.status} {answer.body[:200]!r}")

    def _read_room(self) -> dict[str, str]:
        events: dict[str, str] = {}
        position: str | None = ""
        while position is not None:
            start = f"&from={position}" if position else ""
            page: Any = self.person.call(
                "GET", f"/rooms/{escape(self.room)}/messages?dir=b&limit=500{start}"
            )
            messages = [event for event in page["chunk"] if event["type"] == "m.room.message"]
            events |= {event["event_id"]: event["content"]["body"] for event in messages}
            position = page.get("end")
        return events


def open_sender(stack: Stack, door: Callable[..., Answer] | None = None) -> Sender:
    """Return a sender with an account of its own that no rate limit holds back."""
    person = register(stack, admin=True)
    path = f"/_synapse/admin/v1/users/{escape(person.user_id)}/override_ratelimit"
    freed = stack.ask_synapse("POST", path, body={"messages_per_second": 0}, token=person.token)
    assert freed.status == 200, freed.body
    return Sender(person=person, room=person.create_room(), door=door or stack.ask)
