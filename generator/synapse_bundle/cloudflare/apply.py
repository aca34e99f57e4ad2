"""Changes are applied, one by one. Each is in the state file before it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..errors import BundleError
from .apply_run import ApplyRun
from .changes import STALE, ResourceChange
from .found import Found, PlanContext
from .plan import compare
from .refusals import CloudflareError, UncertainError
from .state import CloudflareState

_ATTEMPTS: Final = 6
_PAUSE: Final = 3  # seconds; what was just created is not everywhere at once
# "… already exists" after an answer was lost, and a route to a Worker that is not everywhere yet.
_TRANSIENT: Final = frozenset({1013, 10019, 10020, 81053, 81054, 81057, 81058})


def apply(
    run: ApplyRun,
    read: Callable[[CloudflareState], Found],
    is_approved: Callable[[ResourceChange], bool],
) -> None:
    """Apply what is desired; raises BundleError for a change that needs an approval and has none.

    If an answer was lost, `read` reads what there is now before anything is repeated.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            changes = _choose(run, is_approved)
            stale = [change for change in changes if change.resource == STALE]
            for change in stale or changes:
                _apply_one(run, change)
        except CloudflareError as error:
            hopeless = not isinstance(error, UncertainError) and not error.codes & _TRANSIENT
            if hopeless or attempt == _ATTEMPTS:
                raise
            run.session.wait(_PAUSE, f"{error.message}. Reading again")
        else:
            if not stale:
                return
        # What was removed may have made room, or restored something.
        run.found = read(run.state)


def _choose(run: ApplyRun, is_approved: Callable[[ResourceChange], bool]) -> list[ResourceChange]:
    """Return what is to be applied now, in order."""
    context = PlanContext(desired=run.desired, found=run.found, state=run.state)
    changes = [change for change in compare(context) if change.verb]
    unapproved = [c.text for c in changes if not c.fix and not is_approved(c)]
    if unapproved:
        raise BundleError(
            f"Changed during the apply, and not approved: {'; '.join(unapproved)}. Run the command"
            " again"
        )
    return [change for change in changes if is_approved(change)]


def _apply_one(run: ApplyRun, change: ResourceChange) -> None:
    refusal = change.apply(run) if change.apply else None
    if refusal:
        run.report(f"skip     {change.text}: {refusal}")
    else:
        run.report(f"{change.verb:<8} {change.text}")
