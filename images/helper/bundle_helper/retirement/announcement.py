"""What everyone on this server is told: a message in a room that each of them is in.

Synapse's own server notices would need `server_notices` in the configuration of every server for ever, and
a restart, for something that happens once. A room needs neither, and every client shows it. It is closed to
other servers (`m.federate`), and only this account can write into it.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ..accounts.registration import CHECK_USER
from ..accounts.users import TEMPORARY, list_accounts, temporary_administrator
from ..settings.environment import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..accounts.users import AccountSession
    from ..settings.service_settings import ServiceSettings

# Both the account that writes, and the alias by which it finds its room again.
_SENDER: Final = "synapse-bundle-notices"
_ADMIN: Final = "/_synapse/admin"
_CLIENT: Final = "/_matrix/client/v3"
_NAME: Final = "state/m.room.name"
# Messages that are looked at for the one that is about to be sent.
_RECENT: Final = 10


def announce(settings: ServiceSettings, title: str, text: str, tell: Callable[[str], None]) -> None:
    """Tell everyone; who was told already is not told the same again. UserError if Synapse refuses."""
    with temporary_administrator(settings) as administrator:
        sender = _sign_in(administrator)
        room = quote(_open_room(sender, title), safe="")
        people = list(_find_people(administrator))
        refused = [person for person in people if not _join(administrator, room, person)]
        _send(sender, room, text)
        sender.call("POST", f"{_CLIENT}/logout", {})
    tell(f"told {len(people) - len(refused)} of {len(people)} people")
    for person in refused:
        tell(
            f"not told: {person}, because Synapse does not let them into a room; tell them yourself"
        )


def _sign_in(administrator: AccountSession) -> AccountSession:
    """Make the account that writes, which nobody has a password of, and be it."""
    settings = administrator.settings
    user_id = f"@{_SENDER}:{settings.server_name}"
    path = quote(user_id, safe="")
    administrator.call("PUT", f"{_ADMIN}/v2/users/{path}", {"displayname": settings.server_name})
    answer = administrator.call("POST", f"{_ADMIN}/v1/users/{path}/login", {})
    return replace(administrator, user_id=user_id, token=Secret(str(answer["access_token"])))


def _open_room(sender: AccountSession, title: str) -> str:
    """Return the room, made if there is none, with its name."""
    alias = quote(f"#{_SENDER}:{sender.settings.server_name}", safe="")
    found = sender.ask("GET", f"{_CLIENT}/directory/room/{alias}")
    if found.status == HTTPStatus.OK:
        room = str(found.json()["room_id"])
        name = f"{_CLIENT}/rooms/{quote(room, safe='')}/{_NAME}"
        sender.call("PUT", name, {"name": title})
        return room
    body = {
        # Its members are put in one by one; a preset for invitations would be encrypted.
        "preset": "public_chat",
        "visibility": "private",
        "name": title,
        "room_alias_name": _SENDER,
        "creation_content": {"m.federate": False},
        "power_level_content_override": {"events_default": 50},
    }
    return str(sender.call("POST", f"{_CLIENT}/createRoom", body)["room_id"])


def _find_people(administrator: AccountSession) -> Iterator[str]:
    """Yield the people of this server: no account of ours, and none that a bridge has made."""
    for account in list_accounts(administrator, "guests=false"):
        name = str(account["name"])
        if name.startswith((f"@{TEMPORARY}-", f"@{CHECK_USER}:", f"@{_SENDER}:")):
            continue
        details = administrator.call("GET", f"{_ADMIN}/v2/users/{quote(name, safe='')}")
        if not details.get("appservice_id"):
            yield name


def _join(administrator: AccountSession, room: str, person: str) -> bool:
    answer = administrator.ask("POST", f"{_ADMIN}/v1/join/{room}", {"user_id": person})
    return answer.status == HTTPStatus.OK


def _send(sender: AccountSession, room: str, text: str) -> None:
    """Send the text, unless it is there already: a run that was cut off may be repeated."""
    only = quote(json.dumps({"types": ["m.room.message"]}), safe="")
    path = f"{_CLIENT}/rooms/{room}"
    recent = sender.call("GET", f"{path}/messages?dir=b&limit={_RECENT}&filter={only}")
    if _read_newest(recent) != text:
        # m.text: many clients do not notify of an m.notice.
        content = {"msgtype": "m.text", "body": text}
        sender.call("PUT", f"{path}/send/m.room.message/{secrets.token_hex(8)}", content)


def _read_newest(recent: dict[str, Any]) -> str:
    return next((str(event["content"].get("body")) for event in recent["chunk"]), "")
