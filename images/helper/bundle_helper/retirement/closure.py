"""Every account is closed: it signs in nowhere, and leaves its rooms, which other servers learn by that.

https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html#deactivate-account
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from ..accounts.users import list_accounts, temporary_administrator

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..accounts.users import AccountSession
    from ..settings.service_settings import ServiceSettings

_USERS: Final = "/_synapse/admin/v1"
# To refuse an invitation Synapse asks the server that it came from, which may be gone.
_PATIENCE_SECONDS: Final = 300
_PAUSE_SECONDS: Final = 1
# Without one room less for this long, Synapse has given up on the rest.
_STILL_SECONDS: Final = 60


def close(settings: ServiceSettings, tell: Callable[[str], None]) -> None:
    """Deactivate every account, the first administrator's too, and wait until they left their rooms.

    Done again, it changes nothing, and waits for what an earlier run has begun. Nothing is erased: that
    would reach no other server, and here everything goes with the volumes. UserError if Synapse refuses.
    """
    with temporary_administrator(settings) as passing:
        administrator = replace(passing, patience=_PATIENCE_SECONDS)
        accounts = list_accounts(administrator, "deactivated=true")
        closing = [str(account["name"]) for account in accounts if not account["deactivated"]]
        for user_id in closing:
            path = f"{_USERS}/deactivate/{quote(user_id, safe='')}"
            administrator.call("POST", path, {"erase": False})
        tell(f"{len(closing)} accounts are closed")
        _await_departure(administrator, [str(account["name"]) for account in accounts], tell)


def _await_departure(
    administrator: AccountSession, accounts: list[str], tell: Callable[[str], None]
) -> None:
    """Wait until no account is in a room, or Synapse has given up; say which ones are."""
    before, deadline = -1, 0.0
    while True:
        left = {name: _count_rooms(administrator, name) for name in accounts}
        left = {name: count for name, count in left.items() if count}
        if not left:
            tell("all have left their rooms")
            return
        if sum(left.values()) != before:
            before, deadline = sum(left.values()), time.monotonic() + _STILL_SECONDS
        if time.monotonic() > deadline:
            named = ", ".join(f"{name} ({count})" for name, count in left.items())
            tell(f"Synapse could not leave every room: {named}. See `docker compose logs synapse`")
            return
        accounts = list(left)
        time.sleep(_PAUSE_SECONDS)


def _count_rooms(administrator: AccountSession, user_id: str) -> int:
    path = f"{_USERS}/users/{quote(user_id, safe='')}/joined_rooms"
    return int(administrator.call("GET", path)["total"])
