"""A model of the record: what each copy reads and writes, in any order, on a clock of its own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bundle_helper.claim.claim_record import ClaimRecord, UnreadableError
from bundle_helper.claim.claiming import Claiming, Outcome, Pace

INSTANCE = "a" * 64
OTHER = "b" * 64


@dataclass
class Zone:
    """The records of the name; what is switched off answers with an error."""

    records: dict[str, ClaimRecord] = field(default_factory=dict)
    api: bool = True
    writes: bool = True
    dns: bool = True
    now: float = 0.0
    # What happens while a copy waits: called with the seconds.
    meanwhile: Callable[[float], None] = lambda _: None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def read(self) -> dict[str, ClaimRecord]:
        """Answer as Cloudflare's API."""
        if not self.api:
            raise UnreadableError("Cloudflare refuses the DNS token (403)")
        return dict(self.records)

    def create(self, record: ClaimRecord) -> None:
        """Add a record."""
        if not (self.api and self.writes):
            raise UnreadableError("Cloudflare's API is not reached")
        self.records[f"{next(self._numbers)}"] = record

    def delete(self, identities: Iterable[str]) -> None:
        """Remove records; one that is gone is no matter."""
        for identity in identities:
            self.read()
            self.records.pop(identity, None)

    def look(self) -> tuple[ClaimRecord, ...]:
        """Answer as DNS."""
        if not self.dns:
            raise UnreadableError("DNS does not answer")
        return tuple(self.records.values())

    def sleep(self, seconds: float) -> None:
        """Let time pass, and others do what they do."""
        self.now += seconds
        self.meanwhile(seconds)

    def hold(self, holder: str, *, epoch: int = 1, session: str = "f" * 32) -> None:
        """Make another copy the holder."""
        self.records = {"held": ClaimRecord(epoch, session, holder)}


def claim(zone: Zone, directory: Path, told: list[Outcome] | None = None) -> Claiming:
    """Return a copy's dealings with the zone."""
    pace = Pace(monotonic=lambda: zone.now, sleep=zone.sleep)
    serve = (told if told is not None else []).append
    return Claiming(directory=directory, editor=zone, look=zone.look, pace=pace, serve=serve)
