"""Keeping the published certificate good: reads the live one, publishes a better one when due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import HelperError
from ..settings.issuers import OwnAuthority
from . import local_authority, published, schedule, validation
from .published import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography import x509

    from ..settings.certificate_settings import CertificateSettings
    from ..settings.issuers import Files
    from .schedule import Deadlines
    from .validation import ServerCertificate


@dataclass(frozen=True, kw_only=True)
class CertificateState:
    """The usable live certificate, if there is one, and what prevents a better one.

    `origin` is who issued it; only an ACME authority sets `failing_since` and `next_attempt`.
    """

    live: ServerCertificate | None
    problem: str | None = None
    origin: str | None = None
    deadlines: Deadlines | None = None
    failing_since: datetime | None = None
    next_attempt: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values; moments are ISO 8601 in UTC."""
        moments = {
            "valid_until": self.live and self.live.valid_until,
            "warning": self.deadlines and self.deadlines.warning,
            "failure": self.deadlines and self.deadlines.failure,
            "failing_since": self.failing_since,
            "next_attempt": self.next_attempt,
        }
        return {
            "serial": self.live and self.live.serial,
            "origin": self.origin,
            "problem": self.problem,
            **{name: at and at.isoformat(timespec="seconds") for name, at in moments.items()},
        }


def ensure_own(
    settings: CertificateSettings, now: datetime, tell: Callable[[str], None]
) -> CertificateState:
    """Let the bundle's own authority replace the live certificate if it is missing, wrong or due.

    A failed replacement is a problem in the result: what was live before stays live.
    """
    live, problem = None, None
    try:
        root = local_authority.load_certificate(settings.authority_certificate_file)
        live, reason = _read_own(settings, now, root)
        if reason is not None:
            live = _replace(settings, now, reason, tell)
    except HelperError as error:
        problem = error.message
    origin = settings.issuer.name if isinstance(settings.issuer, OwnAuthority) else PLACEHOLDER
    return _add_deadlines(settings, CertificateState(live=live, problem=problem, origin=origin))


def adopt(
    settings: CertificateSettings,
    now: datetime,
    tell: Callable[[str], None],
    candidate: bytes | None,
) -> CertificateState:
    """Publish what another issuer gave, if it is usable; without anything usable, a placeholder.

    What is unusable is a problem in the result, and never published.
    """
    problem = None
    if candidate is not None:
        try:
            _publish(settings, now, candidate, tell)
        except HelperError as error:
            problem = f"the new certificate is not published, because {error.message}"
    state = read_state(settings, now)
    if state.live is None or state.origin == PLACEHOLDER:
        state = ensure_own(settings, now, tell)
    return replace(state, problem=problem or state.problem)


def ensure_files(
    settings: CertificateSettings, files: Files, now: datetime, tell: Callable[[str], None]
) -> CertificateState:
    """Publish the operator's own files whenever they have changed and are usable."""
    try:
        pem = validation.read_pem(files.certificate_file, files.key_file)
    except HelperError as error:
        state = replace(adopt(settings, now, tell, None), problem=error.message)
    else:
        state = adopt(settings, now, tell, pem)
    if state.problem and state.origin == PLACEHOLDER and state.live:
        return replace(state, failing_since=published.read_time(settings.directory))
    if state.problem is None and state.deadlines and now >= state.deadlines.warning:
        return replace(state, problem="the files have not been replaced by newer ones yet")
    return state


def read_state(settings: CertificateSettings, now: datetime) -> CertificateState:
    """Return what is published and who issued it, changing nothing."""
    try:
        live = read_live(settings, now)
    except validation.UnusableCertificateError as error:
        return CertificateState(live=None, problem=error.message)
    if not _is_own(settings, live):
        origin = published.read_origin(settings.directory, live)
    else:
        origin = settings.issuer.name if isinstance(settings.issuer, OwnAuthority) else PLACEHOLDER
    return _add_deadlines(settings, CertificateState(live=live, origin=origin))


def read_live(
    settings: CertificateSettings, now: datetime, issuer: x509.Certificate | None = None
) -> ServerCertificate:
    """Return the live certificate; UnusableCertificateError if it must not be used."""
    pem = published.read_live(settings.directory)
    return validation.validate(pem, settings.names, now, issuer)


def _add_deadlines(settings: CertificateSettings, state: CertificateState) -> CertificateState:
    if state.live is None:
        return state
    start, end = state.live.leaf.not_valid_before_utc, state.live.leaf.not_valid_after_utc
    found = schedule.compute_deadlines(start, end, settings.warning, settings.failure)
    return replace(state, deadlines=found)


def _read_own(
    settings: CertificateSettings, now: datetime, root: x509.Certificate
) -> tuple[ServerCertificate | None, str | None]:
    """Return the live certificate if it is usable, and the reason to replace it if there is one."""
    try:
        live = read_live(settings, now, issuer=root)
    except validation.UnusableCertificateError as error:
        return None, error.message
    # No certificate outlives its authority: another one would end on the same day.
    if live.is_due(now) and live.valid_until < root.not_valid_after_utc:
        return live, f"valid only until {live.valid_until:%Y-%m-%d}"
    return live, None


def _replace(
    settings: CertificateSettings, now: datetime, reason: str, tell: Callable[[str], None]
) -> ServerCertificate:
    authority = local_authority.load(
        settings.authority_key_file, settings.authority_certificate_file
    )
    pem = local_authority.issue(authority, settings.names, now)
    new = validation.validate(pem, settings.names, now, authority.certificate)
    published.publish(settings.directory, new, settings.group)
    kind = "certificate" if isinstance(settings.issuer, OwnAuthority) else "placeholder"
    tell(
        f"{kind} {new.serial} published for {', '.join(settings.names)},"
        f" valid until {new.valid_until:%Y-%m-%d} (before: {reason})"
    )
    return new


def _publish(
    settings: CertificateSettings, now: datetime, pem: bytes, tell: Callable[[str], None]
) -> None:
    new = validation.validate(pem, settings.names, now)
    issuer = settings.issuer.name
    if published.publish(settings.directory, new, settings.group, issuer):
        tell(
            f"certificate {new.serial} of {issuer} published for"
            f" {', '.join(settings.names)}, valid until {new.valid_until:%Y-%m-%d %H:%M} UTC"
        )


def _is_own(settings: CertificateSettings, live: ServerCertificate) -> bool:
    try:
        root = local_authority.load_certificate(settings.authority_certificate_file)
        (live.chain or (live.leaf,))[-1].verify_directly_issued_by(root)
    except Exception:  # noqa: BLE001 (what cannot be verified was not issued by it)
        return False
    return True
