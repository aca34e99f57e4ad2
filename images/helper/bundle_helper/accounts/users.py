"""The `user` commands: accounts made, and given new passwords, from a shell on the machine.

Synapse's admin API requires an administrator's token, which an administrator who has forgotten the
password cannot give. The registration secret can make an administrator, so one is made that exists for
the time of a command: https://element-hq.github.io/synapse/latest/admin_api/user_admin_api.html
"""

from __future__ import annotations

import json
import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from .. import synapse
from ..errors import HelperError
from ..exchange import OK, Answer, Request, ask
from ..settings.environment import Secret
from ..settings.service_settings import parse_localpart
from .registration import CHECK_USER, Account, check_password, create_account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..settings.service_settings import ServiceSettings

_PAGE: Final = 1000
TEMPORARY: Final = "synapse-bundle-passing"


class UserError(HelperError):
    """The request does not match the accounts that exist."""


@dataclass(frozen=True, kw_only=True)
class User:
    """An account of this server; `locked` ones sign in nowhere."""

    user_id: str
    admin: bool
    locked: bool


def add(settings: ServiceSettings, name: str, *, admin: bool) -> Secret:
    """Make an account and return its first password; UserError if the name is taken or invalid."""
    account = Account(
        localpart=_parse_name(settings, name), password=_generate_password(), admin=admin
    )
    if create_account(settings, account) is None:
        raise UserError(
            f"@{account.localpart}:{settings.server_name} exists already. For a new password:"
            f" docker compose exec helper user password {account.localpart}"
        )
    return account.password


def renew_password(settings: ServiceSettings, name: str) -> Secret | None:
    """Give an account a new password, end its sessions, and return the password.

    The checks' account gets the one that follows from the registration secret, which is not shown:
    None. UserError if the account does not exist or was deactivated.
    """
    localpart = _parse_name(settings, name)
    ours = localpart == CHECK_USER
    password = check_password(settings) if ours else _generate_password()
    _set_password(settings, localpart, password)
    return None if ours else password


def reset_administrator(settings: ServiceSettings, name: str) -> None:
    """Give the first administrator the password of the bundle's file, and end its sessions.

    UserError if `name` is another account, or the account was deactivated.
    """
    if _parse_name(settings, name) != settings.admin:
        raise UserError(
            f"secrets/admin_password is the password of {settings.admin}; nothing was changed"
        )
    _set_password(settings, settings.admin, settings.admin_password)


def _set_password(settings: ServiceSettings, localpart: str, password: Secret) -> None:
    user_id = f"@{localpart}:{settings.server_name}"
    path = f"/_synapse/admin/v2/users/{quote(user_id, safe='')}"
    with temporary_administrator(settings) as administrator:
        answer = administrator.ask("GET", path)
        if answer.status == HTTPStatus.NOT_FOUND or answer.json().get("deactivated"):
            raise UserError(
                f"the account {user_id} does not exist. For a list:"
                " docker compose exec helper user list"
            )
        body = {"password": password.reveal(), "logout_devices": True}
        administrator.call("PUT", path, body)


def find_users(settings: ServiceSettings) -> list[User]:
    """Return every account that can sign in, except the temporary administrator."""
    with temporary_administrator(settings) as administrator:
        found = list_accounts(administrator, "guests=false")
    return [
        User(user_id=user["name"], admin=bool(user["admin"]), locked=bool(user.get("locked")))
        for user in found
    ]


def list_accounts(administrator: AccountSession, query: str) -> list[dict[str, Any]]:
    """Return what Synapse says of each account that `query` asks for, but not of the administrator."""
    found = administrator.collect(f"/_synapse/admin/v2/users?{query}", "users")
    return [user for user in found if user["name"] != administrator.user_id]


@dataclass(frozen=True, kw_only=True)
class AccountSession:
    """What an account asks Synapse for; `patience` is how many seconds an answer may take."""

    settings: ServiceSettings
    user_id: str
    token: Secret
    # An old machine may take long to make a room, or to close an account.
    patience: float = 60

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        request = Request(
            method=method,
            target=path,
            headers={"Authorization": f"Bearer {self.token.reveal()}"},
            body=json.dumps(body).encode() if body is not None else b"",
        )
        return ask(synapse.endpoint(self.settings), request, self.patience)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = self.ask(method, path, body)
        if answer.status not in OK:
            # Only the code is shown: an error text may quote what was sent.
            raise UserError(
                f"Synapse refused ({answer.status} {answer.errcode})."
                " See `docker compose logs synapse`."
            )
        return answer.json()

    def collect(self, path: str, key: str) -> list[dict[str, Any]]:
        """Return what every page of a list in the admin API has under `key`."""
        found: list[dict[str, Any]] = []
        joint, start = "&" if "?" in path else "?", "0"
        while start:
            page = self.call("GET", f"{path}{joint}limit={_PAGE}&from={start}")
            found += page[key]
            start = str(page.get("next_token", ""))
        return found


@contextmanager
def temporary_administrator(settings: ServiceSettings) -> Iterator[AccountSession]:
    """Be an administrator until the block ends; the account is then closed for good."""
    name = f"{TEMPORARY}-{secrets.token_hex(8)}"
    account = Account(localpart=name, password=_generate_password(), admin=True)
    answer = create_account(settings, account, sign_in=True)
    token = answer and answer.json().get("access_token")
    if not isinstance(token, str):
        raise UserError("Synapse did not open a session. See `docker compose logs synapse`.")
    administrator = AccountSession(
        settings=settings, user_id=f"@{name}:{settings.server_name}", token=Secret(token)
    )
    try:
        yield administrator
    finally:
        closed = quote(administrator.user_id, safe="")
        administrator.call("POST", f"/_synapse/admin/v1/deactivate/{closed}", {"erase": True})


def _parse_name(settings: ServiceSettings, name: str) -> str:
    """Return the localpart of `anna`, `@anna` or `@anna:example.org`; UserError otherwise."""
    localpart = name.removeprefix("@").removesuffix(f":{settings.server_name}")
    try:
        parse_localpart(localpart)
    except ValueError as error:
        raise UserError(str(error)) from error
    return localpart


def _generate_password() -> Secret:
    # Nearly 80 bits, in letters that are easy to type on a phone.
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return Secret("-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4)))
