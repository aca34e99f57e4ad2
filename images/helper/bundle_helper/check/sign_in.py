"""The checks' own sign-in, kept between runs: Synapse limits how often an address may log in."""

from __future__ import annotations

import json
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from .. import locks, storage, synapse
from ..accounts.registration import CHECK_USER, check_password
from ..errors import HelperError
from ..exchange import Request, ask
from .front_door import ask_through

if TYPE_CHECKING:
    from ..exchange import Answer, Endpoint
    from ..settings.homeserver_settings import HomeserverSettings
    from ..settings.service_settings import ServiceSettings

_TOKEN_FILE: Final = "check.token"  # noqa: S105 (a file's name)
_PATIENCE_SECONDS: Final = 5.0
# One device forever, so that the account does not gather one per run.
DEVICE: Final = "synapse-bundle-check"


class SignInError(HelperError):
    """The checks' account could not sign in."""


def ask_signed_in(settings: ServiceSettings, endpoint: Endpoint, request: Request) -> Answer:
    """Send a request with the checks' token, signing in anew if it has ended."""
    token = _token(settings, ended="")
    answer = _ask(endpoint, request, token)
    if answer.status == HTTPStatus.UNAUTHORIZED:
        answer = _ask(endpoint, request, _token(settings, ended=token))
    return answer


def _ask(endpoint: Endpoint, request: Request, token: str) -> Answer:
    authorized = {**request.headers, "Authorization": f"Bearer {token}"}
    return ask_through(endpoint, replace(request, headers=authorized))


def _token(settings: ServiceSettings, *, ended: str) -> str:
    """Return the kept token, or a new one if none is kept or the kept one is `ended`."""
    kept = settings.state_directory / _TOKEN_FILE
    # Two checks at once would otherwise end each other's session: they share the device.
    with locks.lock_directory(settings.state_directory):
        token = kept.read_text(encoding="utf-8") if kept.exists() else ""
        if token in {"", ended}:
            token = open_session(settings)
            storage.replace(kept, token.encode(), 0o600)
        return token


def open_session(settings: HomeserverSettings, patience: float = _PATIENCE_SECONDS) -> str:
    """Sign in and return the token; SignInError if Synapse refuses, ExchangeError if it is silent."""
    body = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": CHECK_USER},
        "password": check_password(settings).reveal(),
        "device_id": DEVICE,
        "initial_device_display_name": "synapse-bundle check",
    }
    # Past Apache: a proxy that loses client addresses must not use up the attempts of all clients.
    request = Request(
        method="POST", target="/_matrix/client/v3/login", body=json.dumps(body).encode()
    )
    answer = ask(synapse.endpoint(settings), request, patience)
    token = answer.json().get("access_token")
    if answer.status != HTTPStatus.OK or not isinstance(token, str):
        raise SignInError(f"the account {CHECK_USER} cannot sign in: {_find_reason(answer)}")
    return token


def _find_reason(answer: Answer) -> str:
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        wait = int(answer.json().get("retry_after_ms", 0)) // 1000
        return f"Synapse limits sign-ins; try again in {wait} s"
    if answer.status == HTTPStatus.FORBIDDEN:
        return (
            "its password is wrong: the account does not exist yet, or"
            " registration_shared_secret was changed since (put the former value back, or"
            f" `docker compose exec helper user password {CHECK_USER}`)"
        )
    return f"{answer.status} {answer.errcode}"
