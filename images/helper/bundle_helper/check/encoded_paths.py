"""Request targets must reach Synapse byte for byte: federation signs them, aliases hold slashes."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ..exchange import Answer, Endpoint, Request
from ..findings import Finding, failed, passed
from .front_door import RENEW_APACHE, apache, ask_through

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings

# Synapse redirects a static directory to the same target plus a slash, quoting the bytes it got:
# a proxy that canonicalizes would have decoded the needless %74.
_ECHOED: Final = "/_matrix/static/clien%74"
_MERGED: Final = "/_matrix//client/versions"


def probe_paths(settings: ServiceSettings) -> Finding:
    """Send targets that a careless proxy alters, and compare what Synapse says it understood."""
    endpoint = apache(settings)
    problems = [
        problem
        for problem in (
            _problem_of_alias(endpoint, settings.server_name),
            _problem_of_echo(endpoint),
            _problem_of_slashes(endpoint),
        )
        if problem
    ]
    if not problems:
        return passed("%2F, %23, %3A, %25 and // reach Synapse as they were sent")
    return failed(
        "; ".join(problems),
        cause="Apache alters paths: AllowEncodedSlashes NoDecode or nocanon is not in force",
        next_step=RENEW_APACHE,
    )


def _problem_of_alias(endpoint: Endpoint, server_name: str) -> str:
    canary = secrets.token_hex(4)
    target = f"/_matrix/client/v3/directory/room/%23{canary}%2Fa%253Ab%2525c%2F%2Fd%3A{server_name}"
    alias = f"#{canary}/a%3Ab%25c//d:{server_name}"
    answer = ask_through(endpoint, Request(target=target))
    if answer.status == HTTPStatus.NOT_FOUND and alias in str(answer.json().get("error")):
        return ""
    return f"an alias with encoded slashes arrived changed ({_shown(answer)})"


def _problem_of_echo(endpoint: Endpoint) -> str:
    location = str(ask_through(endpoint, Request(target=_ECHOED)).headers.get("Location", ""))
    if location.endswith(f"{_ECHOED}/"):
        return ""
    return f"{_ECHOED} was rewritten on its way"


def _problem_of_slashes(endpoint: Endpoint) -> str:
    answer = ask_through(endpoint, Request(target=_MERGED))
    if answer.status == HTTPStatus.NOT_FOUND and answer.errcode:
        return ""
    return f"{_MERGED} gave {_shown(answer)} instead of Synapse's 404"


def _shown(answer: Answer) -> str:
    return f"{answer.status} {answer.errcode}".rstrip()
