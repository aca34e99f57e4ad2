"""What the front door must refuse: the admin API, and bodies that are too large."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ..exchange import Answer, Endpoint, Request, ask
from ..findings import Finding, failed, passed
from .front_door import RENEW_APACHE, apache, ask_through

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings

# The first two answer without a token, so an open door shows; the third asks for one.
_ADMIN: Final = ("v1/server_version", "v1/register", "v2/users")
_SPELLINGS: Final = (
    "/_synapse/admin/",
    "/_synapse/%61dmin/",
    "//_synapse/admin/",
    "/_matrix/../_synapse/admin/",
    "/_matrix/%2e%2e/_synapse/admin/",
    "/_matrix/..%2f_synapse/admin/",
    "/_synapse/client/../admin/",
    "/_synapse/client/..%2fadmin/",
    "/_synapse/client/%2e%2e/admin/",
    "/_synapse/client/..;/admin/",
)


def probe_closed(settings: ServiceSettings) -> Finding:
    """Ask for the admin API in every known spelling; none may be answered by it."""
    endpoint = apache(settings)
    targets = [spelling + path for spelling in _SPELLINGS for path in _ADMIN]
    opened = [target for target in targets if _is_opened(endpoint, target)]
    if not opened:
        return passed(f"{len(targets)} spellings tried, none answered by it")
    return failed(
        f"{len(opened)} spellings are answered by it, such as {opened[0]}",
        cause="Apache forwards more than /_matrix and /_synapse/client",
        next_step=RENEW_APACHE,
    )


def _is_opened(endpoint: Endpoint, target: str) -> bool:
    answer = ask_through(endpoint, Request(target=target))
    return answer.status < HTTPStatus.MULTIPLE_CHOICES or answer.errcode in {
        "M_MISSING_TOKEN",
        "M_UNKNOWN_TOKEN",
    }


def probe_limit(settings: ServiceSettings) -> Finding:
    """Announce a body far beyond the limit: it must be refused before a byte of it is sent.

    Otherwise Synapse cuts the connection in the middle, and the client never learns why.
    """
    headers = {
        "Content-Length": str(2 * settings.upload_limit),
        "Content-Type": "application/octet-stream",
    }
    request = Request(method="POST", target="/_matrix/media/v3/upload", headers=headers)
    answer = ask(apache(settings), request)
    if _is_clean_refusal(answer):
        return passed(f"413 in JSON beyond {settings.upload_limit // 1024**2} MiB")
    return failed(
        f"an upload of twice the limit gave {answer.status} {answer.errcode}".rstrip(),
        cause="Apache's limit is missing or answers without JSON and CORS",
        next_step=RENEW_APACHE,
    )


def _is_clean_refusal(answer: Answer) -> bool:
    return (
        answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        and answer.errcode == "M_TOO_LARGE"
        and answer.headers.get("Access-Control-Allow-Origin") == "*"
    )
