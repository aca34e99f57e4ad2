"""This copy of the server is the one that may serve, and could say so again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import storage
from ..claim.bundle_claim import BundleClaim
from ..claim.claim_record import UnreadableError
from ..errors import HelperError
from ..findings import Finding, failed, passed
from ..settings.issuers import Acme
from ..status import CLAIM

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings

_RENEWAL: Final = (
    "`synapse-bundle cloudflare apply` makes another DNS token, or `synapse-bundle generate --token`"
    " takes one; then `docker compose up -d`"
)


def probe_claim(settings: ServiceSettings) -> Finding:
    """Tell what the claim's duty left: whether this copy holds the name."""
    state = _read_state(settings)
    problem = state.get("problem")
    if not state.get("held"):
        return failed(
            problem or "the claim is not settled yet",
            cause="another copy of this server, or no answer from Cloudflare and DNS",
            next_step="`docker compose exec helper claim status`; see docs/two-copies.md",
        )
    if problem:
        return failed(
            f"held, but not renewed: {problem}",
            cause="the DNS token was revoked, or Cloudflare was not reached at the last start",
            next_step=_RENEWAL,
        )
    return passed(f"this copy holds {settings.homeserver}, epoch {state['epoch']}")


def probe_token(settings: ServiceSettings) -> Finding:
    """Read the record with the DNS token, as a takeover would."""
    issuer = settings.certificate.issuer
    if settings.claim is None or not isinstance(issuer, Acme):
        return passed("there is no DNS token")
    try:
        found = BundleClaim(settings, settings.claim, issuer).read()
    except UnreadableError as error:
        return failed(
            f"{error.message}: this copy serves on, but its claim cannot be written",
            cause="the token was revoked or is for another zone, or Cloudflare is not reached",
            next_step=_RENEWAL,
        )
    return passed(f"the DNS token reads {len(found)} claim{'s' * (len(found) != 1)}")


def is_claimed(settings: ServiceSettings) -> bool:
    """Say whether this bundle claims its name: with a DNS token."""
    return settings.claim is not None and isinstance(settings.certificate.issuer, Acme)


def _read_state(settings: ServiceSettings) -> dict[str, Any]:
    try:
        return storage.read_json(settings.state_directory / f"{CLAIM}.json")
    except HelperError:
        return {}
