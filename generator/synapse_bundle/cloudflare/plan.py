"""A plan: what is desired, what there is, and what would have to change. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ..errors import SettingsError
from . import local_secrets, notes, permissions
from . import state as state_file
from .access import Access, require_access
from .apply_run import ApplyRun
from .changes import STALE, Condition, ResourceChange
from .desired import Desired
from .destroy import remove
from .found import Found, PlanContext, ReadContext
from .kinds.registry import KINDS, get_kind, require_entry, sort_for_removal
from .removal import RemovalContext
from .session import Session
from .state import CloudflareState, StateEntry


@dataclass(frozen=True, kw_only=True)
class CloudflarePlan:
    """What is desired and what there is; `read` reads it again for another state."""

    session: Session
    desired: Desired
    state: CloudflareState
    access: Access
    found: Found
    read: Callable[[CloudflareState], Found]

    @property
    def context(self) -> PlanContext:
        """What is compared."""
        return PlanContext(desired=self.desired, found=self.found, state=self.state)

    @property
    def changes(self) -> list[ResourceChange]:
        """The condition of every resource."""
        return compare(self.context)

    @property
    def notes(self) -> list[str]:
        """What the operator should know."""
        return notes.list_notes(self.context)

    @property
    def obstacles(self) -> list[str]:
        """What has to be put right by hand first."""
        return notes.list_obstacles(self.context)

    def without_token(self) -> CloudflarePlan:
        """Return the same plan for an operator who brings the helper's token along."""
        return replace(self, desired=replace(self.desired, needs_token=False))


def open_plan(
    desired: Desired, bundle: Path, session: Session, identity: str = ""
) -> CloudflarePlan:
    """Read everything; raises SettingsError if the token or the state cannot be used.

    `identity` is the bundle's id, if its state was lost.
    """
    state = _read_state(bundle, desired.server_name, identity)
    access = require_access(session, desired)
    require_permissions(session, access)
    secrets = local_secrets.read(bundle)

    def read_again(now: CloudflareState) -> Found:
        return read(
            ReadContext(session=session, desired=desired, state=now, access=access, secrets=secrets)
        )

    return CloudflarePlan(
        session=session,
        desired=desired,
        state=state,
        access=access,
        found=read_again(state),
        read=read_again,
    )


def require_permissions(session: Session, access: Access) -> None:
    """Raise SettingsError that lists what the token lacks for an apply."""
    needed = (each for kind in KINDS for each in kind.list_permissions(access))
    permissions.require(session, needed)


def read(context: ReadContext) -> Found:
    """Return what there is, of every kind."""
    found = Found(access=context.access)
    for kind in KINDS:
        found = found.add(kind.read(context, found))
    return found


def compare(context: PlanContext) -> list[ResourceChange]:
    """Return the condition of every resource, in the order of an apply."""
    stale = _find_stale(context.desired, context.state)
    return [*stale, *(change for kind in KINDS for change in kind.compare(context))]


def _find_stale(desired: Desired, state: CloudflareState) -> Iterator[ResourceChange]:
    """Yield what an earlier homeserver's name left behind, in the order to remove it."""
    for entry in sort_for_removal(state):
        if get_kind(entry).is_stale(entry, desired):
            yield ResourceChange(
                resource=STALE,
                condition=Condition.CHANGED,
                verb="remove",
                text=f"{entry.type} {entry.name}, which the settings no longer need",
                apply=partial(_remove_stale, entry),
            )


def _remove_stale(entry: StateEntry, run: ApplyRun) -> None:
    remove(RemovalContext(session=run.session, state=run.state), entry)
    run.forget(entry)


def _read_state(bundle: Path, server_name: str, identity: str) -> CloudflareState:
    """Return a bundle's state, or an empty one; raises SettingsError for one of another server."""
    state = state_file.read(bundle, require_entry)
    if state and identity and state.id != identity:
        raise SettingsError(
            f"{bundle} already has a state, with the id {state.id}; --adopt is for a bundle without"
        )
    if state and state.server_name != server_name:
        raise SettingsError(
            f"{bundle} has the Cloudflare state of {state.server_name!r}, not {server_name!r};"
            " another server needs a bundle of its own (--output)"
        )
    return state or state_file.create(server_name, identity)
