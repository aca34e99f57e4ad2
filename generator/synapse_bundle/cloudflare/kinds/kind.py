"""What a kind of thing at Cloudflare has to do: read, compare, apply, remove."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ..access import Access
from ..changes import Note, ResourceChange
from ..desired import Desired
from ..found import Found, PlanContext, ReadContext
from ..permissions import Permission
from ..removal import Removal, RemovalContext
from ..state import StateEntry


class Kind(Protocol):
    """One kind of thing; what has a default here is optional.

    `types` are those of its entries in the state, in the order in which to remove them.
    `replaceable` are the resources that may be replaced with an approval although the bundle did
    not create them, `leavable` those that it can do without, `fixes` the names of its fixes.
    """

    types: tuple[str, ...]
    replaceable: tuple[str, ...] = ()
    leavable: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()

    def read(self, context: ReadContext, found: Found) -> object:
        """Return what there is, as a reading of the kind's own class; changes nothing.

        `found` has the readings of the kinds before this one.
        """
        ...

    def compare(self, context: PlanContext) -> Iterable[ResourceChange]:
        """Return the condition of every resource, with the function that applies its change."""
        ...

    def plan_removal(self, context: RemovalContext, entry: StateEntry) -> Removal:
        """Return how an entry is removed as things are now; raises BundleError if that breaks more."""
        ...

    def list_notes(self, context: PlanContext) -> Iterable[Note]:  # noqa: ARG002
        """Return what the operator should know."""
        return ()

    def list_permissions(self, access: Access) -> Iterable[Permission]:  # noqa: ARG002
        """Return what an apply cannot do without."""
        return ()

    def list_removal_permissions(self, entry: StateEntry) -> Iterable[Permission]:  # noqa: ARG002
        """Return what the removal of an entry cannot do without."""
        return ()

    def is_stale(self, entry: StateEntry, desired: Desired, /) -> bool:  # noqa: ARG002
        """Return whether the settings no longer need an entry."""
        return False

    def require_entry(self, entry: StateEntry) -> None:  # noqa: ARG002
        """Raise ValueError or LookupError for an entry that no apply has written."""
        return
