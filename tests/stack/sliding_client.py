"""A client of sliding sync, as Element X is one: it keeps two positions, and starts anew where the server says so."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Final, Self

from tests.stack.accounts import Person
from tests.support.matrix import escape

_PATH: Final = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
_KIND: Final = "test.sliding"
_LIMIT: Final = 50


@dataclass(kw_only=True)
class SlidingClient:
    """What one device has received: messages in rooms, and messages to it alone, which are sent once."""

    person: Person
    device: str
    in_rooms: set[str] = field(default_factory=set)
    to_device: list[str] = field(default_factory=list)
    _position: str = ""
    _since: str = ""
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def sync(self) -> Self:
        """Ask once for what is new, from the positions of the last answer."""
        extension = {"enabled": True, "limit": _LIMIT}
        rooms = {"ranges": [[0, _LIMIT]], "required_state": [], "timeline_limit": _LIMIT}
        body: dict[str, Any] = {
            "lists": {"all": rooms},
            "extensions": {
                "to_device": extension | ({"since": self._since} if self._since else {})
            },
        }
        position = f"&pos={escape(self._position)}" if self._position else ""
        stack, token = self.person.stack, self.person.token
        answer = stack.ask("POST", f"{_PATH}?timeout=0{position}", body=body, token=token)
        if answer.status == 400 and answer.json["errcode"] == "M_UNKNOWN_POS":
            # The position in its rooms; that of the messages to the device it keeps.
            self._position = ""
            return self
        assert answer.status == 200, answer.body
        self._position = answer.json["pos"]
        events = [e for room in answer.json["rooms"].values() for e in room.get("timeline", ())]
        self.in_rooms |= {event["content"].get("body", "") for event in events}
        received = answer.json["extensions"]["to_device"]
        self._since = received["next_batch"]
        self.to_device += [event["content"]["body"] for event in received.get("events", ())]
        return self

    def receive_from(self, sender: Person, number: int) -> list[str]:
        """Let somebody send messages to the device; return them."""
        sent = [f"to the device {next(self._numbers)}" for _ in range(number)]
        for text in sent:
            path = f"/sendToDevice/{_KIND}/{escape(text)}"
            messages = {self.person.user_id: {self.device: {"body": text}}}
            sender.call("PUT", path, {"messages": messages})
        return sent


def open_sliding_client(person: Person) -> SlidingClient:
    """Return a client of the session that a person has."""
    device = person.call("GET", "/account/whoami")["device_id"]
    client = SlidingClient(person=person, device=device)
    client.sync()
    return client
