"""The duty that keeps the certificate: publishes a better one, and leaves the state."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from .. import status, storage
from ..certificates import keeper, published
from ..certificates.history import HISTORY
from ..certificates.lineage import find_lineage
from ..certificates.renewal import Renewal
from ..settings.issuers import Acme, Files
from .duty import DUE, FILES, stamp
from .supervisor import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..certificates.keeper import CertificateState
    from ..settings.certificate_settings import CertificateSettings

# A command holds the lineages, or an attempt left no trace: look again soon.
_SOON: Final = timedelta(minutes=1)


def keep_certificate(
    settings: CertificateSettings,
    environ: Mapping[str, str],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Publish what is better than the live certificate, and leave its state.

    An ACME authority is asked when that is due, after the first state was left: it may take minutes.
    """
    issuer = settings.issuer
    renewal = Renewal(settings, issuer, environ, tell) if isinstance(issuer, Acme) else None
    if _leave_state(settings, renewal, now()) and renewal is not None:
        renewal.try_quietly()
        _leave_state(settings, renewal, now())


def _leave_state(settings: CertificateSettings, renewal: Renewal | None, now: datetime) -> bool:
    """Leave the state as it is now, and say whether it is time to ask the authority."""
    # Before the state is read: what changes meanwhile is seen next time.
    stamps = {path: stamp(path) for path in _list_files(settings)}
    state = _ensure(settings, renewal, now)
    ask = renewal is not None and renewal.must_ask(state, now)
    # Without anything to serve clients are refused, and the cause, such as a full disk, may end soon.
    soon = ask or state.live is None
    due = now + _SOON if soon else next_moment(state, now)
    content = {**state.to_json(), FILES: stamps, DUE: due and due.timestamp()}
    storage.write_json(settings.state_directory / f"{status.CERTIFICATE}.json", content)
    return ask


def _ensure(
    settings: CertificateSettings, renewal: Renewal | None, now: datetime
) -> CertificateState:
    if renewal is not None:
        return renewal.ensure(now)
    if isinstance(settings.issuer, Files):
        return keeper.ensure_files(settings, settings.issuer, now, tell)
    return keeper.ensure_own(settings, now, tell)


def _list_files(settings: CertificateSettings) -> list[str]:
    """Return the files that the state depends on: what is published, and what it is made from."""
    files = [
        settings.directory / published.LIVE,
        settings.authority_certificate_file,
        settings.authority_key_file,
    ]
    issuer = settings.issuer
    if isinstance(issuer, Files):
        files += [issuer.certificate_file, issuer.key_file]
    if isinstance(issuer, Acme):
        files.append(find_lineage(issuer, settings.homeserver).certificate_file)
        files += [issuer.lineages_directory / HISTORY, settings.state_directory / HISTORY]
        files.append(issuer.token_file)
    return [str(file) for file in files]


def next_moment(state: CertificateState, now: datetime) -> datetime | None:
    """Return the next moment at which a state is no longer what it was, if one is known."""
    moments = (
        state.live and state.live.valid_until,
        state.deadlines and state.deadlines.warning,
        state.deadlines and state.deadlines.failure,
        state.next_attempt,
    )
    return min((moment for moment in moments if moment and moment > now), default=None)
