"""Synapse itself, past Apache: where it listens, and whether it reaches its database."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from .exchange import Endpoint, Request, ask
from .findings import Finding, failed, passed

if TYPE_CHECKING:
    from .settings.homeserver_settings import HomeserverSettings


def endpoint(settings: HomeserverSettings) -> Endpoint:
    """Return Synapse itself, past Apache."""
    host, _, port = settings.synapse_url.removeprefix("http://").partition(":")
    return Endpoint(service="synapse", address=(host, int(port or "80")), host=settings.homeserver)


def prove_database(settings: HomeserverSettings) -> Finding:
    """Look up an alias that cannot exist: 404 comes from the database, 500 without one.

    `/health` and `/versions` never touch the database, so they prove nothing here.
    """
    alias = quote(f"#{secrets.token_hex(8)}:{settings.server_name}", safe="")
    target = f"/_matrix/client/v3/directory/room/{alias}"
    answer = ask(endpoint(settings), Request(target=target))
    if answer.status == HTTPStatus.NOT_FOUND and answer.errcode == "M_NOT_FOUND":
        return passed("an unknown alias is M_NOT_FOUND")
    return failed(
        f"looking up an unknown alias gave {answer.status} {answer.errcode}".rstrip(),
        cause="Synapse cannot use PostgreSQL: it is down, or the role's password differs",
        next_step="`docker compose ps`, then `docker compose logs synapse`",
    )
