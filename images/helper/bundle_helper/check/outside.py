"""The outside view: the public names, reached through DNS and Cloudflare as other servers do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..claim.data_identity import is_of_other_data
from ..federation import web
from ..federation.answers import explain_answer, is_absent
from ..federation.faults import Fault, FaultError, blame
from ..federation.keys import TARGET
from ..federation.names import shown
from ..findings import Finding, failed, passed
from .discovery_documents import find_cors_problems, read_base_url
from .signing_key import find_problems, key_id

if TYPE_CHECKING:
    from ..exchange import Answer
    from ..federation.network import Network
    from ..settings.service_settings import ServiceSettings

# https://developers.cloudflare.com/cache/concepts/cache-responses/
_FROM_CACHE: Final = {"HIT", "STALE", "UPDATING", "REVALIDATED"}
_TUNNEL: Final = "point its DNS record (a proxied CNAME) to this bundle's tunnel"
_DOCUMENT: Final = (
    "`synapse-bundle cloudflare apply` puts a Worker there; or let the web site at that name serve"
    " the bundle's apache/well-known/*.json"
)


def probe_name(settings: ServiceSettings, network: Network) -> Finding:
    """Ask the homeserver's public name for the keys: they must be this bundle's, and fresh."""
    url = f"https://{settings.homeserver}{TARGET}"
    try:
        answer = _get(url, network)
    except FaultError as error:
        return blame(error.fault)
    state = str(answer.headers.get("cf-cache-status", "")).upper()
    if state in _FROM_CACHE:
        return failed(
            f"{url} comes from Cloudflare's cache ({state})",
            cause="a cache rule of the zone covers /_matrix",
            next_step="in Cloudflare's dashboard (Caching, Cache Rules) let this host bypass it",
        )
    if is_of_other_data(answer.headers, settings.database_report_file):
        return failed(
            f"{settings.homeserver} leads to another copy of this server, with data of its own",
            cause="the server was restored or started elsewhere, and that copy uses this tunnel too",
            next_step="stop one of the two with `docker compose down`: see docs/two-copies.md",
        )
    problems = list(find_problems(web.read_object(answer) or {}, settings))
    if problems:
        return failed(
            "; ".join(problems),
            cause=f"{settings.homeserver} leads to another server than this bundle",
            next_step=_TUNNEL,
        )
    return passed(f"{settings.homeserver} leads to {key_id(settings)}, as others see it")


def probe_client(settings: ServiceSettings, network: Network) -> Finding:
    """Ask the server's public name for what clients read."""
    return _probe_document(settings, network, "client", settings.base_url)


def probe_server(settings: ServiceSettings, network: Network) -> Finding:
    """Ask the server's public name for what other servers read."""
    return _probe_document(settings, network, "server", settings.federation_address)


def _probe_document(
    settings: ServiceSettings, network: Network, document: str, wanted: str
) -> Finding:
    url = f"https://{settings.server_name}/.well-known/matrix/{document}"
    try:
        answer = _get(url, network)
    except FaultError as error:
        return blame(error.fault)
    content = web.read_object(answer) or {}
    found = read_base_url(content) if document == "client" else content.get("m.server")
    problems = list(find_cors_problems(answer))
    if found != wanted:
        problems.append(f"it says {shown(str(found))} instead of {wanted}")
    if not problems:
        return passed(f"{wanted}, with CORS, as others see it")
    return failed(
        f"{url}: {'; '.join(problems)}",
        cause="something other than this bundle's document is served there",
        next_step=_DOCUMENT,
    )


def _get(url: str, network: Network) -> Answer:
    answer = web.get(network, url)
    fault = explain_answer(answer, url)
    if is_absent(answer):
        fault = Fault(
            detail=f"{url} does not exist (404)",
            cause="nothing is served at that name, or not by this bundle",
            next_step=_TUNNEL if url.endswith(TARGET) else _DOCUMENT,
        )
    if fault:
        raise FaultError(fault)
    return answer
