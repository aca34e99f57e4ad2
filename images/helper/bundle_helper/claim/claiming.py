"""How a copy of a server claims its name and keeps it: Fischer's rule for timed registers.

Whoever wants to take a name reads the record, writes its own, waits longer than a write may take, and
reads again: it serves only if its own record counts then. M. J. Fischer's rule is described in
L. Lamport, "A Fast Mutual Exclusion Algorithm", ACM TOCS 5(1), 1987.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import HelperError
from .claim_record import ClaimRecord, UnreadableError
from .rules import Standing, Verdict, is_confirmed, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from .memory import ClaimMemory

# Between an own write and the reading that counts: longer than a write through the API takes.
WAIT_SECONDS: Final = 30.0
# From the first reading to the answer to the write; beyond it another copy need not have seen it.
_SLOWEST_WRITE_SECONDS: Final = 25.0


class Editor(Protocol):
    """The record through Cloudflare's API; UnreadableError if that does not answer."""

    def read(self) -> dict[str, ClaimRecord]:
        """Return the records by their ids."""
        ...

    def create(self, record: ClaimRecord) -> None:
        """Create a record."""
        ...

    def delete(self, identities: Iterable[str]) -> None:
        """Delete records by their ids."""
        ...


@dataclass(frozen=True, kw_only=True)
class Pace:
    """A clock that never goes back and a sleep, in seconds."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How things stand; `session` is this start's, once DNS has it."""

    memory: ClaimMemory
    session: str | None = None
    problem: str | None = None

    @property
    def held(self) -> bool:
        """Say whether this copy may serve."""
        return self.memory.standing is Standing.HELD


@dataclass(frozen=True, kw_only=True)
class Claiming:
    """One copy's dealings with the record; `directory` is where it remembers what it wrote.

    `serve` is told when the copy may serve before the end of a round.
    """

    directory: Path
    editor: Editor
    look: Callable[[], tuple[ClaimRecord, ...]]
    pace: Pace
    serve: Callable[[Outcome], None]

    def run_round(self, memory: ClaimMemory, session: str | None) -> Outcome:
        """Read the record and do what follows; `session` is this start's, if it is in DNS already."""
        before = Outcome(memory=memory, session=session)
        if memory.standing is Standing.DOWN:
            return before
        running = session is not None
        if running and self._judge_view(memory, running=True) is Verdict.KEEP:
            return before
        begun = self.pace.monotonic()
        try:
            found = self.editor.read()
        except UnreadableError as error:
            return self._go_on_unread(before, error)
        verdict = judge(memory.claimant(), tuple(found.values()), running=running)
        if verdict is Verdict.DOWN:
            return self._stand_down(memory, found)
        if verdict is Verdict.KEEP:
            return before
        if verdict is Verdict.RENEW:
            self.serve(before)
        return self._write(memory, found, begun)

    def take(self, memory: ClaimMemory, tell: Callable[[str], None]) -> Outcome:
        """Take the name from whoever holds it, as a person asked; UnreadableError passes through.

        HelperError if another copy did the same at the same moment.
        """
        begun = self.pace.monotonic()
        found = self.editor.read()
        top = max(found.values(), default=None)
        if top is not None:
            other = top.holder != memory.instance
            memory = replace(memory, epoch=max(memory.epoch, top.epoch + other))
        tell(f"writing the claim, then waiting {WAIT_SECONDS:.0f} s for other copies")
        outcome = self._write(memory.change(Standing.NEW), found, begun)
        if outcome.held:
            return outcome
        raise HelperError(
            outcome.problem or "another copy claimed the name at the same time; type it again"
        )

    def _judge_view(self, memory: ClaimMemory, *, running: bool) -> Verdict | None:
        """Return what DNS alone tells; None if it does not answer."""
        try:
            found = self.look()
        except UnreadableError:
            return None
        return judge(memory.claimant(), found, running=running)

    def _go_on_unread(self, before: Outcome, error: UnreadableError) -> Outcome:
        """Do what follows where the record cannot be written, and perhaps not even read."""
        memory = before.memory
        if self._judge_view(memory, running=before.session is not None) is Verdict.DOWN:
            return self._stand_down(memory, {})
        return replace(before, problem=error.message)

    def _write(self, memory: ClaimMemory, found: dict[str, ClaimRecord], begun: float) -> Outcome:
        """Write a session of its own in place of what was found, wait, and read again."""
        session = secrets.token_hex(16)
        memory = memory.add_session(session)
        # Before DNS: a copy that does not know its own session would take it for another's.
        memory.save(self.directory)
        try:
            self.editor.create(ClaimRecord(memory.epoch, session, memory.instance))
            late = self.pace.monotonic() - begun > _SLOWEST_WRITE_SECONDS
            self.editor.delete(found)
            self.pace.sleep(WAIT_SECONDS)
            found = self.editor.read()
        except UnreadableError as error:
            return Outcome(memory=memory, problem=error.message)
        if is_confirmed(memory.claimant(), tuple(found.values()), late=late):
            memory = memory.change(Standing.HELD, session)
            memory.save(self.directory)
            return Outcome(memory=memory, session=session)
        return self._lose(memory, found, late=late)

    def _lose(self, memory: ClaimMemory, found: dict[str, ClaimRecord], *, late: bool) -> Outcome:
        """Give way to another's record; if there is none, somebody deleted ours: try again later."""
        claimant = memory.claimant()
        others = [record for record in found.values() if not claimant.owns(record)]
        if others and (late or judge(claimant, tuple(others), running=False) is Verdict.DOWN):
            return self._stand_down(memory, found)
        return Outcome(memory=memory, problem="the claim record disappeared after it was written")

    def _stand_down(self, memory: ClaimMemory, found: dict[str, ClaimRecord]) -> Outcome:
        """Stop serving for good, and remove what is left of the own claim."""
        claimant = memory.claimant()
        memory = memory.change(Standing.DOWN)
        memory.save(self.directory)
        own = [identity for identity, record in found.items() if claimant.owns(record)]
        # If that fails: it counts less than the other's, and whoever writes next deletes it.
        with contextlib.suppress(UnreadableError):
            self.editor.delete(own)
        return Outcome(memory=memory)
