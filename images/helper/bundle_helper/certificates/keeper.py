"""Keeping the published certificate good: looks at the live one, publishes a better one when due."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import HelperError
from ..settings.issuers import OWN
from . import lineage, local_authority, origin, published, schedule
from .origin import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography import x509

    from ..settings.service_settings import ServiceSettings
    from .schedule import Deadlines


@dataclass(frozen=True, kw_only=True)
class State:
    """The usable live certificate, if there is one, and what stands in the way of a better one.

    `origin` is who issued it, `failing_since` and `next_attempt` are of an ACME authority alone.
    """

    live: published.Publication | None
    problem: str | None = None
    origin: str | None = None
    deadlines: Deadlines | None = None
    failing_since: datetime | None = None
    next_attempt: datetime | None = None


def ensure(settings: ServiceSettings, now: datetime, tell: Callable[[str], None]) -> State:
    """Let the bundle's own authority replace the live certificate if it is missing, wrong or due.

    A failed replacement is a problem in the answer: what was live before stays live.
    """
    live = None
    issuer = OWN if settings.certificate_issuer == OWN else PLACEHOLDER
    try:
        root = local_authority.load_certificate(settings.authority_certificate_file)
        live, reason = _look(settings, now, root)
        if reason is not None:
            live = _replace(settings, now, reason, tell)
    except HelperError as error:
        return describe(settings, State(live=live, problem=error.message, origin=issuer))
    return describe(settings, State(live=live, origin=issuer))


def adopt(
    settings: ServiceSettings, now: datetime, tell: Callable[[str], None], candidate: bytes | None
) -> State:
    """Publish what another issuer gave, if it is usable; without anything usable, a placeholder.

    What is unusable is a problem in the answer, and never published.
    """
    problem = None
    if candidate is not None:
        try:
            _publish(settings, now, candidate, tell)
        except HelperError as error:
            problem = f"the new certificate is not published, because {error.message}"
    state = look(settings, now)
    if state.live is None or state.origin == PLACEHOLDER:
        state = ensure(settings, now, tell)
    return replace(state, problem=problem or state.problem)


def ensure_files(settings: ServiceSettings, now: datetime, tell: Callable[[str], None]) -> State:
    """Publish the operator's own files whenever they have changed and are usable."""
    if settings.files is None:
        raise HelperError(f"{settings.certificate_issuer} reads no files")
    try:
        pem = lineage.join(settings.files.certificate_file, settings.files.key_file)
    except HelperError as error:
        state = replace(adopt(settings, now, tell, None), problem=error.message)
    else:
        state = adopt(settings, now, tell, pem)
    if state.problem and state.origin == PLACEHOLDER and state.live:
        return replace(state, failing_since=published.published_at(settings.certificates_directory))
    if state.problem is None and state.deadlines and now >= state.deadlines.warning:
        return replace(state, problem="the files were not replaced by newer ones yet")
    return state


def look(settings: ServiceSettings, now: datetime) -> State:
    """Say what is published and who issued it, changing nothing."""
    try:
        live = inspect(settings, now)
    except published.PublicationError as error:
        return State(live=None, problem=error.message)
    issuer = OWN if _is_own(settings, live) else origin.read(settings.certificates_directory, live)
    if issuer == OWN and settings.certificate_issuer != OWN:
        issuer = PLACEHOLDER
    return describe(settings, State(live=live, origin=issuer))


def describe(settings: ServiceSettings, state: State) -> State:
    """Add the moments from which the end of the live certificate matters."""
    if state.live is None:
        return state
    leaf = state.live.leaf
    found = schedule.deadlines(
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        settings.certificate_warning,
        settings.certificate_failure,
    )
    return replace(state, deadlines=found)


def inspect(
    settings: ServiceSettings, now: datetime, issuer: x509.Certificate | None = None
) -> published.Publication:
    """Return the live certificate as it is; PublicationError if it must not be used."""
    pem = published.read_live(settings.certificates_directory)
    return published.validate(pem, settings.certificate_names, now, issuer)


def _look(
    settings: ServiceSettings, now: datetime, root: x509.Certificate
) -> tuple[published.Publication | None, str | None]:
    """Return the live certificate if it is usable, and the reason to replace it if there is one."""
    try:
        live = inspect(settings, now, issuer=root)
    except published.PublicationError as error:
        return None, error.message
    # The authority's own end can not be outlived: another certificate would end on the same day.
    if live.is_due(now) and live.valid_until < root.not_valid_after_utc:
        return live, f"valid only until {live.valid_until:%Y-%m-%d}"
    return live, None


def _replace(
    settings: ServiceSettings, now: datetime, reason: str, tell: Callable[[str], None]
) -> published.Publication:
    issuer = local_authority.load(settings.authority_key_file, settings.authority_certificate_file)
    pem = local_authority.issue(issuer, settings.certificate_names, now)
    new = published.validate(pem, settings.certificate_names, now, issuer.certificate)
    published.publish(settings.certificates_directory, new, settings.certificate_group)
    kind = "certificate" if settings.certificate_issuer == OWN else "placeholder"
    tell(
        f"{kind} {new.serial} published for {', '.join(settings.certificate_names)},"
        f" valid until {new.valid_until:%Y-%m-%d} (before: {reason})"
    )
    return new


def _publish(
    settings: ServiceSettings, now: datetime, pem: bytes, tell: Callable[[str], None]
) -> None:
    new = published.validate(pem, settings.certificate_names, now)
    issuer = settings.certificate_issuer
    directory = settings.certificates_directory
    if published.publish(directory, new, settings.certificate_group, issuer):
        tell(
            f"certificate {new.serial} of {issuer} published for"
            f" {', '.join(settings.certificate_names)}, valid until {new.valid_until:%Y-%m-%d %H:%M} UTC"
        )


def _is_own(settings: ServiceSettings, live: published.Publication) -> bool:
    try:
        root = local_authority.load_certificate(settings.authority_certificate_file)
        (live.chain or (live.leaf,))[-1].verify_directly_issued_by(root)
    except Exception:  # noqa: BLE001 (whatever can not be verified was not issued by it)
        return False
    return True
