"""Everything a bundle created is deleted, what it changed is restored; nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from .kinds.registry import get_kind, sort_for_removal
from .permissions import Permission, explain
from .refusals import CloudflareError, UncertainError
from .removal import Removal, RemovalAction, RemovalContext, skip
from .state import CloudflareState, StateEntry

_ATTEMPTS: Final = 5


def list_permissions(state: CloudflareState) -> Iterator[Permission]:
    """Yield what a destroy cannot do without; a setting that may not be restored stops nothing."""
    for entry in state.entries:
        yield from get_kind(entry).list_removal_permissions(entry)


def plan_removals(context: RemovalContext) -> list[Removal]:
    """Return how everything is to be removed as things are now, in order.

    Raises BundleError if a removal would break something that is not this bundle's.
    """
    return [_plan(context, entry) for entry in sort_for_removal(context.state)]


def destroy(
    context: RemovalContext, planned: list[Removal], save: Callable[[CloudflareState], None]
) -> Iterator[Removal]:
    """Remove everything, yielding each thing when it is done; what is skipped stays in the state."""
    for each in planned:
        done = remove(context, each.entry)
        yield done
        if done.action is not RemovalAction.SKIP:
            context = replace(context, state=context.state.remove(each.entry))
            save(context.state)


def remove(context: RemovalContext, entry: StateEntry) -> Removal:
    """Remove one thing as it is now: what an earlier run has done is not done again."""
    for _ in range(_ATTEMPTS):
        planned = _plan(context, entry)
        try:
            for step in planned.steps:
                step(context.session)
        except UncertainError:
            continue
        except CloudflareError as error:
            if not (planned.permission and error.refused):
                raise
            return skip(entry, planned.subject, explain(error, planned.permission))
        return planned
    raise CloudflareError(f"{entry.type} {entry.name} could not be removed; run the command again")


def _plan(context: RemovalContext, entry: StateEntry) -> Removal:
    return get_kind(entry).plan_removal(context, entry)
