"""The certificate at the front door: its name, chain and days, and that it is the current one."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from .. import storage
from ..certificates import keeper
from ..certificates.published import LIVE, PLACEHOLDER
from ..errors import HelperError
from ..exchange import ExchangeError, connect
from ..findings import Finding, failed, passed
from ..status import CERTIFICATE, STATUS_FILE
from .front_door import apache

if TYPE_CHECKING:
    from ..certificates.keeper import CertificateState
    from ..settings.service_settings import ServiceSettings

# Apache's watcher has reloaded long before this, even on a slow machine.
_RELOAD_SECONDS: Final = 75.0
_PAUSE_SECONDS: Final = 1.0


def probe_chain(settings: ServiceSettings) -> Finding:
    """Shake hands as a client does, and count the days that are left."""
    try:
        presented = _read_presented(settings)
    except ExchangeError as error:
        if not isinstance(error.__cause__, ssl.SSLError):
            raise
        return failed(
            error.message,
            cause="Apache serves a certificate that clients refuse",
            next_step="`docker compose logs helper apache`; `docker compose restart apache`",
        )
    expiry = datetime.fromtimestamp(ssl.cert_time_to_seconds(presented["notAfter"]), UTC)
    days = (expiry - datetime.now(UTC)).days
    issuer = dict(pair for group in presented["issuer"] for pair in group)
    return passed(
        f"{settings.homeserver}, issued by {issuer.get('commonName', 'an unnamed authority')},"
        f" {days} days left",
    )


def probe_current(settings: ServiceSettings) -> Finding:
    """Compare the serial number served with the one published, allowing Apache its reload."""
    problem = _read_renewal_problem(settings)
    live = keeper.read_live(settings.certificate, datetime.now(UTC))
    published = (settings.certificate.directory / LIVE).stat().st_mtime
    served = _read_presented(settings)["serialNumber"]
    while served != live.serial and time.time() < published + _RELOAD_SECONDS:
        time.sleep(_PAUSE_SECONDS)
        served = _read_presented(settings)["serialNumber"]
    if served != live.serial:
        return failed(
            f"Apache serves {served}, published is {live.serial}",
            cause="Apache has not loaded the published certificate",
            next_step="`docker compose logs apache`, then `docker compose restart apache`",
        )
    if problem:
        return failed(
            f"serial {served}, but its renewal fails",
            cause=problem,
            next_step="`docker compose logs helper`",
        )
    return passed(f"serial {served}")


def probe_issuer(settings: ServiceSettings) -> Finding:
    """Say who issued what is published, and until when nothing needs to be done."""
    now = datetime.now(UTC)
    state = keeper.read_state(settings.certificate, now)
    if state.live is None:
        return failed(
            f"nothing usable is published: {state.problem}",
            cause="the helper has not published a certificate yet",
            next_step="`docker compose logs helper`",
        )
    if state.origin == settings.certificate.issuer.name:
        return _judge_end(state, settings, now)
    served = "a placeholder of the bundle's own authority"
    if state.origin != PLACEHOLDER:
        served = f"the certificate of {state.origin or 'an earlier issuer'}"
    return failed(
        f"{served} is served, {settings.certificate.issuer.name} has not issued one yet",
        cause=_read_renewal_problem(settings) or "the first certificate is being asked for",
        next_step="`docker compose exec helper certificates status`",
    )


def _judge_end(state: CertificateState, settings: ServiceSettings, now: datetime) -> Finding:
    if state.live is None or state.deadlines is None:
        raise TypeError("a live certificate without its deadlines")
    detail = f"{state.origin}, valid until {state.live.valid_until:%Y-%m-%d %H:%M} UTC"
    if now < state.deadlines.failure:
        return passed(detail)
    return failed(
        detail,
        cause=_read_renewal_problem(settings) or "it was not renewed in time",
        next_step="`docker compose exec helper certificates renew`",
    )


def _read_renewal_problem(settings: ServiceSettings) -> str:
    try:
        status = storage.read_json(settings.state_directory / STATUS_FILE)
    except HelperError as error:
        return error.message
    return str(status[CERTIFICATE]["problem"] or "")


def _read_presented(settings: ServiceSettings) -> dict[str, Any]:
    endpoint = apache(settings)
    try:
        with connect(endpoint) as connected:
            if not isinstance(connected, ssl.SSLSocket):
                raise TypeError("the front door was reached without TLS")
            return connected.getpeercert() or {}
    except OSError as error:
        raise ExchangeError(endpoint, error) from error
