"""What a copy of a server does about its claim, given what it has read: pure, and without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .claim_record import ClaimRecord


class Standing(StrEnum):
    """Where a copy stands: it never held the claim on this very data, holds it, or gave way."""

    NEW = "new"
    HELD = "held"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True)
class Claimant:
    """A copy as it knows itself; `sessions` are all that it may have in DNS, the present one last."""

    instance: str
    epoch: int
    standing: Standing = Standing.NEW
    sessions: tuple[str, ...] = ()

    def owns(self, record: ClaimRecord) -> bool:
        """Say whether this copy wrote a record, in this start or an earlier one."""
        return record.holder == self.instance and record.session in self.sessions


class Verdict(StrEnum):
    """What follows: serve; serve and write; write, wait and read again before serving; or do not.

    DOWN is for good, until a person says otherwise; WAIT ends with the next reading.
    """

    KEEP = "keep"
    RENEW = "renew"
    TAKE = "take"
    WAIT = "wait"
    DOWN = "down"


def judge(claimant: Claimant, found: tuple[ClaimRecord, ...] | None, *, running: bool) -> Verdict:
    """Return what a reading means; `found` is None where the record cannot be read.

    `running` says that this start of the helper holds the claim already.
    """
    if claimant.standing is Standing.DOWN:
        return Verdict.DOWN
    held = claimant.standing is Standing.HELD
    if found is None:
        return Verdict.KEEP if held else Verdict.WAIT
    top = max(found, default=None)
    if top is None or (top.holder != claimant.instance and top.epoch < claimant.epoch):
        # Nobody has it, or the server whose backup was restored here.
        return Verdict.RENEW if running else Verdict.TAKE
    if not claimant.owns(top):
        return Verdict.DOWN
    if not held:
        # It ended before it could read again: what it wrote proves nothing yet.
        return Verdict.TAKE
    return Verdict.KEEP if running and top.session == claimant.sessions[-1] else Verdict.RENEW


def is_confirmed(claimant: Claimant, found: tuple[ClaimRecord, ...], *, late: bool) -> bool:
    """Say whether the second reading confirms what was written after the first.

    `late` says that writing took longer than others wait: another's claim may stand already.
    """
    mine = next((record for record in found if record.session == claimant.sessions[-1]), None)
    others = [record for record in found if not claimant.owns(record)]
    if mine is None or any(other > mine for other in others):
        return False
    return not late or all(other.epoch < mine.epoch for other in others)
