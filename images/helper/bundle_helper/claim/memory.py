"""What a copy remembers of its claim, in a volume of its own: written there before it goes to DNS."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from .. import storage
from ..errors import HelperError
from .rules import Claimant, Standing

if TYPE_CHECKING:
    from pathlib import Path

MEMORY: Final = "memory.json"
# Sessions that were never seen in DNS: one for each start without an answer of Cloudflare's API.
_MOST_SESSIONS: Final = 32


@dataclass(frozen=True, kw_only=True)
class ClaimMemory:
    """A claimant's state between starts; `confirmed` is the own session last seen in DNS."""

    instance: str
    epoch: int
    standing: Standing = Standing.NEW
    confirmed: str = ""
    written: tuple[str, ...] = ()

    def add_session(self, session: str) -> ClaimMemory:
        """Return this with a session that is about to be written."""
        return replace(self, written=(*self.written, session)[-_MOST_SESSIONS:])

    def change(self, standing: Standing, confirmed: str = "") -> ClaimMemory:
        """Return this with another standing, and the own session that DNS has."""
        return replace(self, standing=standing, confirmed=confirmed or self.confirmed)

    def claimant(self) -> Claimant:
        """Return the copy as the rules know it."""
        return Claimant(
            instance=self.instance,
            epoch=self.epoch,
            standing=self.standing,
            sessions=tuple(filter(None, (self.confirmed, *self.written))),
        )

    def save(self, directory: Path) -> None:
        """Write it in one step, so that it survives a power cut; HelperError if that fails."""
        storage.write_json(directory / MEMORY, asdict(self))


def recall(directory: Path, instance: str, epoch: int) -> ClaimMemory:
    """Return what is remembered of this very data, or a new memory."""
    memory = read_memory(directory)
    if memory is None or memory.instance != instance:
        return ClaimMemory(instance=instance, epoch=epoch)
    return replace(memory, epoch=max(epoch, memory.epoch))


def read_memory(directory: Path) -> ClaimMemory | None:
    """Return what is remembered, of whichever data.

    A damaged file counts as none: then the record in DNS decides, and if need be a person.
    """
    try:
        content = storage.read_json(directory / MEMORY)
        return ClaimMemory(
            instance=str(content["instance"]),
            epoch=int(content["epoch"]),
            standing=Standing(content["standing"]),
            confirmed=str(content["confirmed"]),
            written=tuple(map(str, content["written"])),
        )
    except (HelperError, LookupError, ValueError, TypeError):
        return None
