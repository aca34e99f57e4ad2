"""What a person reads before a server ends: what goes, what stays, and what nobody was told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .. import retirement_record
from .closing_steps import Retirement

_WIDTH: Final = 12
_SHOWN: Final = 8


def write_outline(retirement: Retirement) -> Iterator[str]:
    """Yield a line for everything that a retirement removes or keeps."""
    record, settings = retirement.record, retirement.settings
    yield _row("told", f"that it ends on {record.day}" if record.day else "nobody was told")
    if record.begun:
        yield _row("last set", record.set or "none")
    else:
        yield _row(
            "accounts",
            f"{_name(retirement.containers.list_users())}; they sign in nowhere and leave every room",
        )
        kept = f"made first, in {settings.backup.repository}" if retirement.keeps_set else "none"
        yield _row("last set", kept)
        yield _row("export", str(retirement.export or "none"))
    for line in retirement.cloudflare.write_plan() if retirement.cloudflare else ():
        yield _row("Cloudflare", line)
    yield _row("containers", "removed; their volumes stay until you delete them")


def write_end(retirement: Retirement, removal: str) -> Iterator[str]:
    """Yield what is left after a retirement; `removal` is the command that deletes the volumes."""
    record, settings = retirement.record, retirement.settings
    yield f"{settings.server_name} is retired."
    if record.set:
        yield (
            f"Its last set is {record.set} in {settings.backup.repository}. Keep it with the recovery card, or"
            " with this folder; the way back is in docs/retiring.md."
        )
    yield f"What it has on this machine is still in its volumes. To delete it: {removal}"


def write_reminder(record: retirement_record.RetirementRecord) -> str:
    """Return what a run says that has nothing to do any more."""
    return f"This server is retired already; its last set: {record.set or 'none'}."


def _row(title: str, text: str) -> str:
    return f"  {title:<{_WIDTH}} {text}"


def _name(users: list[str]) -> str:
    more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
    return f"{len(users)}: {', '.join(users[:_SHOWN])}{more}"
