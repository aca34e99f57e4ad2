"""What a client of any kind has and can do in an encrypted conversation."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tests.stack.accounts import Person

# Seconds between two attempts, and between two messages.
PAUSE: Final = 0.2
POLL_MILLISECONDS: Final = 2000
# Synapse's own limit. With its default of 10 a slow client has gaps, and never sees what is in them.
EVENTS_OF_A_SYNC: Final = 100

Keys = dict[str, Any]


@dataclass(kw_only=True)
class Talker(ABC):
    """One client: what the server acknowledged, what it has read, and what went wrong.

    `files` has what was uploaded, and the keys that decrypt it, as an m.file event has them.
    """

    person: Person
    device: str
    room: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    read: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[bytes, Keys]] = field(default_factory=dict)
    undecryptable: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    sending: bool = True
    # Whether it may be sending at this moment.
    busy: bool = False

    def note_read(self, event: str, text: str) -> None:
        """Note what an event says; its key may have come after it."""
        self.read[event] = text
        self.undecryptable = [each for each in self.undecryptable if each != event]

    def seen(self) -> set[str]:
        """Return every event that reached it, decrypted or not."""
        return {*self.read, *self.undecryptable}

    @abstractmethod
    async def connect(self) -> None:
        """Get ready; the other methods follow."""

    @abstractmethod
    async def close(self) -> None:
        """Leave nothing behind."""

    @abstractmethod
    async def listen(self, ended: threading.Event) -> None:
        """Sync until it has ended."""

    @abstractmethod
    async def knows(self, others: Sequence[Talker]) -> bool:
        """Say whether it can encrypt for all the others: before that it would for nobody."""

    @abstractmethod
    async def send(self, text: str, transaction: str) -> str | None:
        """Send a message; return its event's id once the server has acknowledged it."""

    @abstractmethod
    async def upload(self, content: bytes) -> tuple[str, Keys] | None:
        """Upload a file encrypted; return its address and its keys."""

    @abstractmethod
    async def download(self, uri: str, keys: Keys) -> bytes:
        """Return a file, decrypted."""

    @abstractmethod
    async def read_history(self) -> dict[str, str]:
        """Return every text message of the room that it can decrypt, by its event's id."""
