"""Fixes of a zone's settings: offered, applied with an approval, skipped if Cloudflare refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from . import removal
from .apply_run import ApplyRun
from .changes import Condition, Fix, ResourceChange
from .permissions import explain
from .refusals import CloudflareError
from .removal import Removal
from .state import StateEntry
from .zone import Zone

Write = Callable[[ApplyRun, Fix], None]


def compare(fix: Fix, write: Write) -> ResourceChange:
    """Return the condition of a setting; one that is not fine and was never fixed is only offered."""
    condition, verb = Condition.PRESENT, ""
    if fix.after is not None:
        condition = Condition.CHANGED if fix.approved else Condition.FOREIGN
        verb = "update" if fix.approved else "fix"
    return ResourceChange(
        resource="setting",
        condition=condition,
        verb=verb,
        text=f"{fix.title} of {fix.zone.name}",
        apply=partial(_apply, fix, write),
        fix=fix,
    )


def note_unreadable(title: str, zone: Zone, permission: str, error: Exception) -> str:
    """Return what is said of a setting that could not be read; raises what is not a refusal."""
    if not isinstance(error, CloudflareError):
        return (
            f"{title} of {zone.name} has different settings on this plan; see that it challenges"
            " nothing"
        )
    if not error.refused:
        raise error
    return f"{title} of {zone.name} could not be read: {explain(error, permission)}"


def _apply(fix: Fix, write: Write, run: ApplyRun) -> str | None:
    """Apply one fix; return why Cloudflare refused it."""
    earlier = run.state.find(fix.type, fix.entry_name)
    entry = StateEntry(
        type=fix.type,
        parent=fix.zone.id,
        name=fix.entry_name,
        before=fix.before,
        after=fix.after,
    )
    run.remember(entry)
    try:
        write(run, fix)
    except CloudflareError as error:
        if not error.refused:
            raise
        if earlier:
            run.remember(earlier)
        else:
            run.forget(entry)
        return explain(error, fix.permission)
    return None


def plan_unreadable(
    entry: StateEntry, subject: str, permission: str, error: CloudflareError
) -> Removal:
    """Return the removal of a setting that could not be read; raises what is not a refusal."""
    if not error.refused:
        raise error
    if error.missing:  # its zone was deleted
        return removal.missing(entry, subject)
    return removal.skip(entry, subject, explain(error, permission))
