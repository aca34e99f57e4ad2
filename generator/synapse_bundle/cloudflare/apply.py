"""Changes -> Cloudflare. What is about to happen is in the state file before it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ..errors import BundleError
from . import destroy as destruction
from .apply_run import Work
from .changes import Change, Part
from .found import Found
from .kinds import browser_checks as corrections
from .kinds import dns as records
from .kinds import dns_token as tokens
from .kinds import tunnel as tunnels
from .kinds import worker as workers
from .planning import compare
from .session import CloudflareError, UncertainError
from .state import State

ROUNDS: Final = 6
PAUSE: Final = 3  # seconds; what was just made is not everywhere at once
# "… already exists" after an answer was lost, and a route to a Worker that is not everywhere yet.
TRANSIENT: Final = frozenset({1013, 10019, 10020, 81053, 81054, 81057, 81058})


def apply(work: Work, look: Callable[[State], Found], agrees: Callable[[Change], bool]) -> None:
    """Bring about what is wanted; raises BundleError where something new is in the way.

    `agrees` tells whether there is a yes for a change. Where an answer was lost, `look` shows what
    there is now before anything is repeated.
    """
    for attempt in range(ROUNDS):
        work.address = work.found.tunnel.address if work.found.tunnel else work.address
        try:
            changes = choose(work, agrees)
            stale = [change for change in changes if change.part is Part.STALE]
            for change in stale or changes:
                perform(work, change)
        except CloudflareError as error:
            hopeless = not isinstance(error, UncertainError) and not error.codes & TRANSIENT
            if hopeless or attempt == ROUNDS - 1:
                raise
            work.client.wait(PAUSE, f"{error.message}. Looking again")
        else:
            if not stale:
                return
        # What was taken back may have made room, or put something there.
        work.found = look(work.state)


def choose(work: Work, agrees: Callable[[Change], bool]) -> list[Change]:
    """Return what is to be done now, in order."""
    changes = [c for c in compare(work.wanted, work.found, work.state) if c.verb]
    refused = [c.text for c in changes if c.part is not Part.SETTING and not agrees(c)]
    if refused:
        raise BundleError(f"In the way, and nobody said yes: {'; '.join(refused)}")
    return [change for change in changes if agrees(change)]


def perform(work: Work, change: Change) -> None:
    """Do one thing and say so."""
    if change.part is Part.SETTING:
        corrections.correct(work, change)
        return
    if change.part is Part.STALE and change.made:
        destruction.undo(work.client, change.made, work.state)
        work.forget(change.made)
    elif change.part is Part.PLACEHOLDER and change.verb == "remove":
        records.remove_placeholder(work)
    else:
        PERFORM[change.part](work)
    work.say(f"{change.verb:<8} {change.text}")


PERFORM: Final[dict[Part, Callable[[Work], None]]] = {
    Part.TUNNEL: tunnels.create,
    Part.CREDENTIAL: tunnels.fetch_credential,
    Part.HOMESERVER: records.put_homeserver,
    Part.PLACEHOLDER: records.put_placeholder,
    Part.APEX: records.proxy,
    Part.SUBDOMAIN: workers.register,
    Part.WORKER: workers.upload,
    Part.WORKERS_DEV: workers.hide,
    Part.ROUTE: workers.put_route,
    Part.TOKEN: tokens.mint,
}
