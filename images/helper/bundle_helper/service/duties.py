"""What each process of the helper does: keeps the certificate, makes the accounts, or watches."""

from __future__ import annotations

import os
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .. import storage
from ..errors import HelperError
from ..settings.issuers import FILES, OWN
from ..settings.service_settings import ServiceSettings
from .duty import DUE, stamp
from .duty import FILES as WATCHED
from .supervisor import ACCOUNTS, CERTIFICATE, WATCH, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from ..certificates.keeper import State
    from ..certificates.renewal import Renewal

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
# As long as Synapse starts, ask often, so that nobody waits for us; then do not fill its log.
_QUICK_ATTEMPTS = 60
_SLOWER_FACTOR = 2.0
_INTERRUPTED = 130
# A person's command holds the lineages, or an attempt left no trace: look again soon.
_SOON = timedelta(minutes=1)


def keep_certificate(
    settings: ServiceSettings,
    environ: Mapping[str, str],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Publish what is better than the live certificate, and leave how it stands.

    An ACME authority is asked when that is due, after the first look was left: it may take minutes.
    """
    from ..certificates.renewal import Renewal  # noqa: PLC0415 (cryptography is for this duty alone)

    renewal = Renewal(settings, environ, tell)
    if _leave_state(settings, renewal, now):
        renewal.try_quietly()
        _leave_state(settings, renewal, now)


def _leave_state(settings: ServiceSettings, renewal: Renewal, now: Callable[[], datetime]) -> bool:
    """Look once, leave what was found, and say whether it is time to ask the authority."""
    # Before the look: what changes while it lasts is seen by the next.
    stamps = {path: stamp(path) for path in _files(settings)}
    moment = now()
    state = _ensure(settings, renewal, moment)
    ask = settings.acme is not None and renewal.must_ask(state, moment)
    # Without anything to serve nobody is served: what is in the way may be gone soon, a full disk too.
    soon = ask or state.live is None
    due = moment + _SOON if soon else next_moment(state, moment)
    content = {**summarise(state), WATCHED: stamps, DUE: due and due.timestamp()}
    storage.write(settings.state_directory / f"{CERTIFICATE}.json", content)
    return ask


def _ensure(settings: ServiceSettings, renewal: Renewal, moment: datetime) -> State:
    from ..certificates import keeper  # noqa: PLC0415 (as above)

    if settings.certificate_issuer == OWN:
        return keeper.ensure(settings, moment, tell)
    if settings.certificate_issuer == FILES:
        return keeper.ensure_files(settings, moment, tell)
    return renewal.ensure(moment)


def _files(settings: ServiceSettings) -> list[str]:
    """Return the files that a look depends on: what is published, and what it is made of."""
    from ..certificates import lineage, published  # noqa: PLC0415 (as above)

    files = [
        settings.certificates_directory / published.LIVE,
        settings.authority_certificate_file,
        settings.authority_key_file,
    ]
    if settings.files is not None:
        files += [settings.files.certificate_file, settings.files.key_file]
    if settings.acme is not None:
        from ..certificates.history import HISTORY  # noqa: PLC0415 (as above)

        place = settings.acme.lineages_directory
        name = lineage.name(settings.certificate_issuer, settings.homeserver)
        files += [place / "live" / name / "fullchain.pem", place / HISTORY]
        files.append(settings.state_directory / HISTORY)
        files.append(settings.acme.token_file)
    return [str(file) for file in files]


def next_moment(state: State, now: datetime) -> datetime | None:
    """Return the next moment at which a state is no longer what it was, if one is known."""
    moments = (
        state.live and state.live.valid_until,
        state.deadlines and state.deadlines.warning,
        state.deadlines and state.deadlines.failure,
        state.next_attempt,
    )
    return min((moment for moment in moments if moment and moment > now), default=None)


def make_accounts(
    settings: ServiceSettings,
    ensure: Callable[[ServiceSettings], tuple[str, ...]],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Ask Synapse until the first accounts exist; leave what stands in the way meanwhile."""
    attempts = 0
    known: str | None = None
    while True:
        try:
            for sentence in ensure(settings):
                tell(sentence)
        except HelperError as error:
            if error.message != known:
                known = error.message
                _leave_accounts(settings, known)
        else:
            _leave_accounts(settings, None)
            return
        attempts += 1
        sleep(pause(attempts))


def _leave_accounts(settings: ServiceSettings, problem: str | None) -> None:
    content = {"ensured": problem is None, "problem": problem}
    storage.write(settings.state_directory / f"{ACCOUNTS}.json", content)


def pause(attempts: int) -> float:
    """Return the seconds to wait after so many vain attempts: 1 at first, later up to 60."""
    if attempts <= _QUICK_ATTEMPTS:
        return _FIRST_PAUSE_SECONDS
    return min(_LONGEST_PAUSE_SECONDS, _SLOWER_FACTOR ** min(attempts - _QUICK_ATTEMPTS, 16))


def summarise(state: State) -> dict[str, Any]:
    """Return a state as JSON values; moments are ISO 8601 in UTC."""
    deadlines = state.deadlines
    moments = {
        "valid_until": state.live and state.live.valid_until,
        "warning": deadlines and deadlines.warning,
        "failure": deadlines and deadlines.failure,
        "failing_since": state.failing_since,
        "next_attempt": state.next_attempt,
    }
    return {
        "serial": state.live and state.live.serial,
        "origin": state.origin,
        "problem": state.problem,
        **{name: at and at.isoformat(timespec="seconds") for name, at in moments.items()},
    }


def main(duty: str) -> int:
    """Do one duty with the container's settings; return the exit code."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        settings = ServiceSettings.from_environ(os.environ)
        if duty == CERTIFICATE:
            keep_certificate(settings, os.environ)
        elif duty == ACCOUNTS:
            from ..accounts.registration import ensure_accounts  # noqa: PLC0415 (for this duty alone)

            make_accounts(settings, ensure_accounts)
        elif duty == WATCH:
            from ..monitoring.watch import keep_watch  # noqa: PLC0415 (for this duty alone)

            keep_watch(settings, tell)
    except HelperError as error:
        tell(f"{duty}: {error.message}")
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
