"""What one apply works with: the session, what is desired and found, and the state it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import BundleError
from .desired import Desired
from .found import Found
from .session import Session
from .state import CloudflareState, StateEntry
from .zone import Zone


@dataclass(kw_only=True)
class ApplyRun:
    """One apply.

    `found` is from the last read. `save` writes the state to disk, `report` prints a line.
    `secrets` are those that Cloudflare issued, by the name of their file in the bundle.
    """

    session: Session
    desired: Desired
    state: CloudflareState
    found: Found
    save: Callable[[CloudflareState], None]
    report: Callable[[str], None]
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def home(self) -> Zone:
        """The zone of the homeserver's name."""
        return self.found.access.home

    @property
    def apex(self) -> Zone:
        """The zone of the server name; raises BundleError if the token does not show it."""
        if not self.found.access.apex:
            raise BundleError(f"The token shows no zone for {self.desired.server_name}")
        return self.found.access.apex

    def remember(self, entry: StateEntry) -> StateEntry:
        """Put an entry into the state, on disk."""
        self.state = self.state.add(entry)
        self.save(self.state)
        return entry

    def forget(self, entry: StateEntry | None) -> None:
        """Remove an entry from the state, on disk."""
        if entry:
            self.state = self.state.remove(entry)
            self.save(self.state)
