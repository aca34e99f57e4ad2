"""The duty that keeps the server's claim to its name, and opens or closes the gate with it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from .. import status, storage
from ..claim import gate
from ..claim.bundle_claim import REAL_PACE, BundleClaim
from ..claim.claiming import Outcome
from ..claim.data_identity import read_identity
from ..claim.rules import Standing
from ..errors import HelperError
from ..settings.issuers import Acme
from .duty import DUE, FILES, stamp

if TYPE_CHECKING:
    from ..claim.claiming import Pace
    from ..settings.claim_settings import ClaimSettings
    from ..settings.service_settings import ServiceSettings

# Until it is known whether this copy may serve, the next look is soon.
_SOON_SECONDS: Final = 60.0


def keep_claim(settings: ServiceSettings, pace: Pace = REAL_PACE) -> None:
    """Do one round, open or close the gate, and leave how things stand."""
    claim = settings.claim
    if claim is None:
        return
    last = _read_last(settings)
    try:
        if isinstance(settings.certificate.issuer, Acme):
            _run_round(settings, claim, settings.certificate.issuer, last, pace)
        else:
            _open_unclaimed(settings, claim)
    except HelperError as error:
        # What was decided before still holds.
        content = {"held": False, **last, "problem": error.message}
        _leave(settings, claim, content, soon=True)


def _run_round(
    settings: ServiceSettings, claim: ClaimSettings, issuer: Acme, last: dict[str, Any], pace: Pace
) -> None:
    bundle_claim = BundleClaim(settings, claim, issuer, pace)

    def leave(outcome: Outcome) -> None:
        undecided = outcome.memory.standing is Standing.NEW
        _leave(settings, claim, bundle_claim.apply(outcome), soon=undecided)

    with bundle_claim.recall() as remembered:
        if not last and remembered.standing is not Standing.HELD:
            # What another copy's volume brought along is withdrawn before anything is asked.
            leave(Outcome(memory=remembered))
        leave(bundle_claim.run_round(remembered, last, leave))


def _open_unclaimed(settings: ServiceSettings, claim: ClaimSettings) -> None:
    """Open the gate of a bundle that has no DNS token, and so cannot claim its name."""
    gate.open_gate(claim)
    gate.name_data(claim, read_identity(settings.database_report_file).instance)
    _leave(settings, claim, {"held": True, "problem": None}, soon=False)


def _read_last(settings: ServiceSettings) -> dict[str, Any]:
    """Return what the round before this one left; nothing at the start of the service."""
    try:
        last = storage.read_json(settings.state_directory / f"{status.CLAIM}.json")
    except HelperError:
        return {}
    return {name: value for name, value in last.items() if name not in {FILES, DUE}}


def _leave(
    settings: ServiceSettings, claim: ClaimSettings, content: dict[str, Any], *, soon: bool
) -> None:
    watched = [settings.database_report_file, claim.released_file, claim.stood_down_file]
    if claim.credential_file is not None:
        watched.append(claim.credential_file)
    if isinstance(settings.certificate.issuer, Acme):
        watched.append(settings.certificate.issuer.token_file)
    content |= {
        FILES: {str(path): stamp(str(path)) for path in watched},
        DUE: time.time() + _SOON_SECONDS if soon else None,
    }
    storage.write_json(settings.state_directory / f"{status.CLAIM}.json", content)
