"""The three well-known documents by which clients, servers and people find the homeserver."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from ..exchange import Answer, Request, ask
from ..findings import Finding, failed, passed
from .front_door import RENEW_APACHE, apache

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..settings.service_settings import ServiceSettings


def probe_client(settings: ServiceSettings) -> Finding:
    """Compare what clients read with the bundle's base URL."""
    answer = _get(settings, "client")
    found = read_base_url(answer.json())
    return _judge(settings, "client", answer, found=found, wanted=settings.base_url)


def read_base_url(document: dict[str, Any]) -> str | None:
    """Return where clients are sent, without a final slash; None if the document does not say."""
    homeserver = document.get("m.homeserver")
    url = homeserver.get("base_url") if isinstance(homeserver, dict) else None
    return url.rstrip("/") if isinstance(url, str) else None


def probe_server(settings: ServiceSettings) -> Finding:
    """Compare what other servers read with the bundle's federation address."""
    answer = _get(settings, "server")
    found = answer.json().get("m.server")
    return _judge(settings, "server", answer, found=found, wanted=settings.federation_address)


def probe_support(settings: ServiceSettings) -> Finding:
    """Accept contacts, or a clean statement that there are none."""
    answer = _get(settings, "support")
    shown = "contacts" if answer.status == HTTPStatus.OK else f"{answer.status} in JSON"
    known = answer.status == HTTPStatus.OK or bool(answer.errcode)
    return _judge(settings, "support", answer, found=shown if known else None, wanted=shown)


def _get(settings: ServiceSettings, document: str) -> Answer:
    # Host is the server name, because that is where the specification looks.
    return ask(apache(settings, settings.server_name), Request(target=_target(document)))


def _target(document: str) -> str:
    return f"/.well-known/matrix/{document}"


def _judge(
    settings: ServiceSettings, document: str, answer: Answer, *, found: object, wanted: str
) -> Finding:
    statuses = {HTTPStatus.OK, HTTPStatus.NOT_FOUND} if document == "support" else {HTTPStatus.OK}
    problems = list(_find_header_problems(answer))
    if answer.status not in statuses:
        problems.append(f"the answer is {answer.status}")
    elif found != wanted:
        problems.append(f"it says {found} instead of {wanted}")
    problems += _find_preflight_problems(settings, document, answer.status)
    if not problems:
        return passed(f"{wanted}, with CORS")
    return failed(
        "; ".join(problems),
        cause="Apache does not serve this bundle's document",
        next_step=RENEW_APACHE,
    )


def _find_header_problems(answer: Answer) -> Iterable[str]:
    if answer.headers.get_content_type() != "application/json":
        yield "its Content-Type is not application/json"
    yield from find_cors_problems(answer)


def _find_preflight_problems(
    settings: ServiceSettings, document: str, status: int
) -> Iterable[str]:
    headers = {"Origin": "https://client.invalid", "Access-Control-Request-Method": "GET"}
    request = Request(method="OPTIONS", target=_target(document), headers=headers)
    answer = ask(apache(settings, settings.server_name), request)
    absent = status == answer.status == HTTPStatus.NOT_FOUND
    if answer.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT} and not absent:
        yield f"OPTIONS gives {answer.status}"
    yield from (f"OPTIONS: {problem}" for problem in find_cors_problems(answer))


def find_cors_problems(answer: Answer) -> Iterable[str]:
    """Yield what keeps a browser from reading an answer."""
    # Matrix specification, client-server API, section "Web Browser Clients".
    if answer.headers.get("Access-Control-Allow-Origin") != "*":
        yield "Access-Control-Allow-Origin is not *"
    for header, word in (("Methods", "get"), ("Headers", "authorization")):
        value = answer.headers.get(f"Access-Control-Allow-{header}", "")
        if word not in value.lower():
            yield f"Access-Control-Allow-{header} lacks {word}"
