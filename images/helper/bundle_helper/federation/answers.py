"""Answers that are not usable where JSON is expected, first of all Cloudflare's own pages."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from .faults import Fault

if TYPE_CHECKING:
    from ..exchange import Answer

_REFUSED: Final = {
    HTTPStatus.FORBIDDEN,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
}
# 1010 is Browser Integrity Check, 1020 a rule:
# https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/
_CODE: Final = re.compile(rb"error code: 1[0-9]{3}")
_LET_IN: Final = (
    "in Cloudflare's dashboard turn Bot Fight Mode off, and let this host pass Browser Integrity"
    " Check and the security level (a WAF custom rule, action Skip);"
    " `synapse-bundle cloudflare plan` shows them"
)
# https://developers.cloudflare.com/support/troubleshooting/http-status-codes/
_EDGE: Final = {
    502: ("Cloudflare cannot reach the server behind it", "`docker compose logs cloudflared`"),
    504: ("the server behind Cloudflare takes too long", "`docker compose logs synapse`"),
    521: ("the server behind Cloudflare refuses it", "point the DNS record to the tunnel"),
    522: ("the server behind Cloudflare does not answer", "point the DNS record to the tunnel"),
    523: ("the DNS record leads Cloudflare nowhere", "point the DNS record to the tunnel"),
    524: ("the server behind Cloudflare takes too long", "`docker compose logs synapse`"),
    530: (
        "the tunnel that the DNS record names is not connected",
        "`docker compose ps cloudflared` and its logs; right after its start wait a minute",
    ),
}


def explain_answer(answer: Answer, what: str) -> Fault | None:
    """Return why an answer is not usable where JSON is expected, or None if it may be JSON.

    A challenge is known by `cf-mitigated`:
    https://developers.cloudflare.com/cloudflare-challenges/challenge-types/challenge-pages/detect-response/
    """
    if answer.headers.get("cf-mitigated"):
        return Fault(
            detail=f"{what} is a challenge page of Cloudflare instead ({answer.status})",
            cause="Cloudflare takes other servers for bots",
            next_step=_LET_IN,
        )
    if _is_by_cloudflare(answer) and answer.status in _EDGE:
        cause, next_step = _EDGE[answer.status]
        detail = f"{what} is Cloudflare's own error {answer.status} instead"
        return Fault(detail=detail, cause=cause, next_step=next_step)
    if _is_by_cloudflare(answer) and answer.status in _REFUSED:
        code = _CODE.search(answer.body)
        also = f", {code[0].decode()}" if code else ""
        return Fault(
            detail=f"{what} is refused by Cloudflare ({answer.status}{also})",
            cause="a rule, Browser Integrity Check or the security level blocks other servers",
            next_step=_LET_IN,
        )
    if _is_html(answer):
        return Fault(
            detail=f"{what} is a page of HTML instead of JSON ({answer.status})",
            cause="a web site, a login page or a proxy answers in its place",
            next_step="let this path pass through to the server that should answer it",
        )
    if answer.status != HTTPStatus.OK:
        return Fault(
            detail=f"{what} is answered with {answer.status} instead of 200",
            cause="the server or a proxy in front of it does not know the path, or refuses it",
            next_step="check the logs of the server and of its proxy",
        )
    return None


def is_absent(answer: Answer) -> bool:
    """Say whether a server states that the document does not exist, and not a challenge."""
    return answer.status == HTTPStatus.NOT_FOUND and not answer.headers.get("cf-mitigated")


def _is_by_cloudflare(answer: Answer) -> bool:
    # Its name is also on what it passes on; but what a homeserver or our Apache refuses is JSON.
    return str(answer.headers.get("Server", "")).lower() == "cloudflare" and not answer.json()


def _is_html(answer: Answer) -> bool:
    begins = answer.body.lstrip()[:1] == b"<"
    return begins or answer.headers.get_content_type() == "text/html"
