"""Other servers learn that everyone has left: Synapse's queue to each of them empties, or it is gone.

https://element-hq.github.io/synapse/latest/usage/administration/admin_api/federation.html
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from ..accounts.users import temporary_administrator

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..accounts.users import AccountSession
    from ..settings.service_settings import ServiceSettings

_DESTINATIONS: Final = "/_synapse/admin/v1/federation/destinations"
_PAUSE_SECONDS: Final = 2
# Whoever has not answered for this long after the last one that did is not waited for.
_STILL_SECONDS: Final = 60
# Synapse puts an event into the queues a moment after it was made, and tells nobody when it has.
_SETTLED_ROUNDS: Final = 3
_SHOWN: Final = 20


def await_delivery(settings: ServiceSettings, tell: Callable[[str], None]) -> None:
    """Wait until each server that answers has everything; name the others. UserError if Synapse refuses."""
    with temporary_administrator(settings) as administrator:
        known = administrator.collect(_DESTINATIONS, "destinations")
        missing = _await_queues(administrator)
    tell(f"{len(known) - len(missing)} of {len(known)} other servers know that everyone has left")
    if missing:
        named = ", ".join(sorted(missing)[:_SHOWN])
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        tell(f"no answer from {named}{more}: they will find out that this server is gone")


def _await_queues(administrator: AccountSession) -> set[str]:
    """Return the servers that did not take what they were owed."""
    waiting, empty = _find_waiting(administrator), 0
    deadline = time.monotonic() + _STILL_SECONDS
    while empty < _SETTLED_ROUNDS and time.monotonic() < deadline:
        for destination in waiting:
            # Otherwise Synapse waits ten minutes after the first failure. It refuses where there was none.
            path = f"{_DESTINATIONS}/{quote(destination, safe='')}/reset_connection"
            administrator.ask("POST", path, {})
        time.sleep(_PAUSE_SECONDS)
        before, waiting = waiting, _find_waiting(administrator)
        empty = 0 if waiting else empty + 1
        if before - waiting:
            deadline = time.monotonic() + _STILL_SECONDS
    return waiting


def _find_waiting(administrator: AccountSession) -> set[str]:
    """Return the servers that have not taken the newest event of every room that they share."""
    waiting = set()
    for one in administrator.collect(_DESTINATIONS, "destinations"):
        destination = str(one["destination"])
        rooms = administrator.collect(
            f"{_DESTINATIONS}/{quote(destination, safe='')}/rooms", "rooms"
        )
        newest = max((int(room["stream_ordering"]) for room in rooms), default=0)
        if newest > int(one["last_successful_stream_ordering"] or 0):
            waiting.add(destination)
    return waiting
