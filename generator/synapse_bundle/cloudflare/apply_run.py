"""What one apply works with: the client, what is wanted and found, and the state it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..errors import BundleError
from .desired import Wanted, Zone
from .found import Found
from .session import Client
from .state import Made, State


@dataclass(kw_only=True)
class Work:
    """One apply.

    `found` is what there was at the last look, `address` what the homeserver's CNAME points to.
    `save` puts the state on disk, `say` tells the operator. `given` are the secrets that Cloudflare
    gave, by the name of their file in the bundle.
    """

    client: Client
    wanted: Wanted
    state: State
    found: Found
    save: Callable[[State], None]
    say: Callable[[str], None]
    address: str = ""
    given: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def home(self) -> Zone:
        """The zone of the homeserver's name."""
        return self.found.access.home

    @property
    def apex(self) -> Zone:
        """The zone of the server name; raises BundleError where the token does not show it."""
        if not self.found.access.apex:
            raise BundleError(f"The token shows no zone for {self.wanted.server_name}")
        return self.found.access.apex

    def remember(self, made: Made) -> Made:
        """Put an entry into the state, on disk."""
        self.state = self.state.remember(made)
        self.save(self.state)
        return made

    def forget(self, made: Made | None) -> None:
        """Take an entry out of the state, on disk."""
        if made:
            self.state = self.state.forget(made)
            self.save(self.state)
