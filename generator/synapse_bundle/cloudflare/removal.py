"""How one thing is removed: what is said of it, and the requests it takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from .refusals import CloudflareError
from .session import Session
from .state import CloudflareState, StateEntry

Step = Callable[[Session], None]


class RemovalAction(StrEnum):
    """What happens to a thing: one that was changed since is kept, what is refused is skipped."""

    DELETE = "delete"
    RESTORE = "restore"
    KEEP = "keep"
    SKIP = "skip"
    MISSING = "missing"


@dataclass(frozen=True, kw_only=True)
class RemovalContext:
    """What a kind plans a removal with; `token` is the helper's DNS token in the bundle."""

    session: Session
    state: CloudflareState
    token: str = ""


@dataclass(frozen=True, kw_only=True)
class Removal:
    """How one entry of the state is removed; without steps there is nothing left to do.

    `permission` is what the steps of a thing take that is skipped if Cloudflare refuses them;
    without it a refusal ends the run.
    """

    entry: StateEntry
    action: RemovalAction
    subject: str
    detail: str = ""
    steps: tuple[Step, ...] = ()
    permission: str = ""

    @property
    def text(self) -> str:
        """What is removed, and how or why not."""
        return f"{self.subject}{self.detail}"


def delete(entry: StateEntry, subject: str, *steps: Step, permission: str = "") -> Removal:
    """Return the removal of a thing by deleting it."""
    return Removal(
        entry=entry,
        action=RemovalAction.DELETE,
        subject=subject,
        steps=steps,
        permission=permission,
    )


def restore(
    entry: StateEntry, subject: str, step: Step, *, detail: str = "", permission: str = ""
) -> Removal:
    """Return the removal by one request that restores what was there before."""
    return Removal(
        entry=entry,
        action=RemovalAction.RESTORE,
        subject=subject,
        detail=detail,
        steps=(step,),
        permission=permission,
    )


def missing(entry: StateEntry, subject: str) -> Removal:
    """Return the removal of what no longer exists."""
    return Removal(entry=entry, action=RemovalAction.MISSING, subject=subject)


def keep(entry: StateEntry, subject: str) -> Removal:
    """Return the removal of what was changed since, and is kept."""
    detail = ": changed since by someone else"
    return Removal(entry=entry, action=RemovalAction.KEEP, subject=subject, detail=detail)


def skip(entry: StateEntry, subject: str, reason: str) -> Removal:
    """Return the removal of what stays for now, because this token cannot remove it."""
    detail = f": {reason}"
    return Removal(entry=entry, action=RemovalAction.SKIP, subject=subject, detail=detail)


def send(method: str, path: str, body: Any) -> Step:
    """Return the step that sends one request."""
    return partial(_send, method, path, body)


def delete_path(path: str) -> Step:
    """Return the step that deletes a path; what no longer exists need not be deleted."""
    return partial(_delete_path, path)


def _send(method: str, path: str, body: Any, session: Session) -> None:
    session.send(method, path, body)


def _delete_path(path: str, session: Session) -> None:
    try:
        session.send("DELETE", path)
    except CloudflareError as error:
        if not error.missing:
            raise
