"""The accounts a bundle starts with, and how the checks' own account signs in.

Accounts are made through Synapse's shared-secret registration:
https://element-hq.github.io/synapse/latest/admin_api/register_api.html
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from .. import synapse
from ..errors import HelperError
from ..exchange import Answer, Request, ask
from ..settings.environment import Secret

if TYPE_CHECKING:
    from ..settings.homeserver_settings import HomeserverSettings
    from ..settings.service_settings import ServiceSettings

CHECK_USER: Final = "synapse-bundle-check"
_REGISTER: Final = "/_synapse/admin/v1/register"
_CREATED: Final = 200


class RegistrationError(HelperError):
    """Synapse answered, but not with an account."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A local account that is to exist."""

    localpart: str
    password: Secret
    admin: bool


def _wanted_accounts(settings: ServiceSettings) -> tuple[Account, ...]:
    """Return the first administrator and the account that `check` signs in with."""
    return (
        Account(localpart=settings.admin, password=settings.admin_password, admin=True),
        Account(localpart=CHECK_USER, password=check_password(settings), admin=False),
    )


def check_password(settings: HomeserverSettings) -> Secret:
    """Return the password of the checks' account: derived, so that it needs no file."""
    return Secret(
        hmac.new(
            settings.registration_shared_secret.reveal().encode(),
            f"{CHECK_USER} password for {settings.server_name}".encode(),
            hashlib.sha256,
        ).hexdigest()
    )


def ensure_accounts(settings: ServiceSettings) -> tuple[str, ...]:
    """Create the accounts that are missing; return one sentence per account created.

    ExchangeError while Synapse does not answer, RegistrationError if it refuses.
    """
    return tuple(
        f"created the account @{account.localpart}:{settings.server_name}"
        for account in _wanted_accounts(settings)
        if create_account(settings, account)
    )


def create_account(
    settings: ServiceSettings, account: Account, *, sign_in: bool = False
) -> Answer | None:
    """Create an account, with a session if wanted; return the answer, or None if the name is taken.

    ExchangeError while Synapse does not answer, RegistrationError if it refuses.
    """
    endpoint, shared_secret = synapse.endpoint(settings), settings.registration_shared_secret
    nonce = ask(endpoint, Request(target=_REGISTER)).json().get("nonce")
    if not isinstance(nonce, str):
        raise RegistrationError(
            "Synapse does not offer registration by shared secret. See `docker compose logs"
            " synapse`; `registration_shared_secret_path` must be set."
        )
    body = _registration_body(account, nonce, shared_secret, sign_in=sign_in)
    answer = ask(endpoint, Request(method="POST", target=_REGISTER, body=body))
    if answer.status == _CREATED:
        return answer
    if answer.errcode == "M_USER_IN_USE":
        return None
    raise _refusal(account, answer)


def _registration_body(
    account: Account, nonce: str, shared_secret: Secret, *, sign_in: bool = False
) -> bytes:
    """Return the body that proves knowledge of the shared secret (HMAC-SHA1, as documented)."""
    proof = hmac.new(shared_secret.reveal().encode(), digestmod=hashlib.sha1)
    parts = (nonce, account.localpart, account.password.reveal())
    proof.update("\0".join((*parts, "admin" if account.admin else "notadmin")).encode())
    return json.dumps(
        {
            "nonce": nonce,
            "username": account.localpart,
            "password": account.password.reveal(),
            "admin": account.admin,
            "mac": proof.hexdigest(),
            # Otherwise the account begins with a session that no client holds or ends.
            "inhibit_login": not sign_in,
        }
    ).encode()


def _refusal(account: Account, answer: Answer) -> RegistrationError:
    error = str(answer.json().get("error", ""))
    advice = (
        "Synapse still runs with another registration_shared_secret: `docker compose up -d`"
        " recreates what changed, `docker compose restart synapse` does it by hand."
        if "HMAC" in error
        else "See `docker compose logs synapse`."
    )
    # Only the code is shown: an error text may quote what was sent.
    return RegistrationError(
        f"Synapse refused the account {account.localpart} ({answer.status} {answer.errcode})."
        f" {advice}"
    )
