"""The front door of the bundle, as the tunnel reaches it."""

from __future__ import annotations

import ssl
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ..errors import HelperError
from ..exchange import Answer, Endpoint, Request, ask
from ..settings.issuers import OwnAuthority

if TYPE_CHECKING:
    from ..settings.certificate_settings import CertificateSettings
    from ..settings.service_settings import ServiceSettings

# For what can only be wrong in Apache's configuration or image.
RENEW_APACHE: Final = (
    "`make generate` (or copy the bundle again), then"
    " `docker compose up -d --build --force-recreate apache`"
)

_UNREACHED: Final = {
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}


class UnreachedError(HelperError):
    """Apache answered that it could not reach Synapse, so nothing was proved."""


def ask_through(endpoint: Endpoint, request: Request) -> Answer:
    """Ask Synapse through Apache; UnreachedError if Apache could not reach Synapse."""
    answer = ask(endpoint, request)
    if answer.status in _UNREACHED:
        raise UnreachedError(f"apache answers {answer.status}: it does not reach synapse")
    return answer


def _create_context(settings: CertificateSettings) -> ssl.SSLContext:
    """Return a context that trusts what the tunnel trusts.

    That is the bundle's authority, and for another issuer its root, or else the public ones.
    """
    own = str(settings.authority_certificate_file)
    if isinstance(settings.issuer, OwnAuthority):
        return ssl.create_default_context(cafile=own)
    root = settings.root_file
    context = ssl.create_default_context(cafile=str(root) if root else None)
    context.load_verify_locations(cafile=own)
    return context


def apache(settings: ServiceSettings, host: str = "") -> Endpoint:
    """Return Apache, asked for `host` (the homeserver by default), certificate verified."""
    return Endpoint(
        service="apache",
        address=settings.apache_address,
        host=host or settings.homeserver,
        tls=_create_context(settings.certificate),
        tls_name=settings.homeserver,
    )
