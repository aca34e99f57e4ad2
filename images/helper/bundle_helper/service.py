"""The long-lived helper: keeps the certificate fresh, makes the accounts, says how it goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from . import certificate, issuance, notification, registration, report
from .errors import HelperError
from .health import STATUS_FILE
from .issuers import FILES, OWN
from .renewal import Renewal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from .settings import ServiceSettings

_ROUND_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 1.0
# As long as Synapse starts, ask often, so that nobody waits for us; then do not fill its log.
_QUICK_ATTEMPTS = 60
_SLOWER_FACTOR = 2.0


class Stop(Protocol):
    """The part of threading.Event that the loop needs."""

    def is_set(self) -> bool:
        """Say whether the service was asked to end."""

    def wait(self, timeout: float) -> bool:
        """Sleep at most `timeout` seconds; return at once, and true, when asked to end."""


@dataclass(frozen=True, kw_only=True)
class Duties:
    """What the service does each round; `accounts` raises HelperError while it is in vain."""

    certificate: Callable[[datetime], certificate.State]
    accounts: Callable[[], None]


def duties(
    settings: ServiceSettings, environ: Mapping[str, str], tell: Callable[[str], None]
) -> Duties:
    """Return the real duties of a bundle."""
    keep = keeper(settings, environ, tell)

    def accounts() -> None:
        for sentence in registration.ensure_accounts(settings):
            tell(sentence)

    def keep_and_notify(now: datetime) -> certificate.State:
        state = keep(now)
        notification.consider(settings, state, now, tell)
        return state

    return Duties(certificate=keep_and_notify, accounts=accounts)


def keeper(
    settings: ServiceSettings, environ: Mapping[str, str], tell: Callable[[str], None]
) -> Callable[[datetime], certificate.State]:
    """Return what keeps the certificate of the chosen issuer."""
    if settings.certificate_issuer == OWN:
        return lambda now: certificate.ensure(settings, now, tell)
    if settings.certificate_issuer == FILES:
        return lambda now: certificate.ensure_files(settings, now, tell)
    return Renewal(settings, environ, tell).ensure


def serve(
    work: Duties,
    state_directory: Path,
    stop: Stop,
    now: Callable[[], datetime],
    tell: Callable[[str], None],
) -> None:
    """Do the duties until `stop` is set; write the status that `health` and `check` read.

    HelperError only if the status itself can not be written.
    """
    herald = Herald(tell)
    accounts_problem: str | None = "Synapse was not asked yet"
    attempts = 0
    while not stop.is_set():
        certificate_status = _certificate_status(work, now(), herald)
        if accounts_problem is not None:
            accounts_problem = _try(work.accounts, "accounts", herald)
            attempts += 1
        report.write(
            state_directory / STATUS_FILE,
            {
                "time": now().isoformat(timespec="seconds"),
                "certificate": certificate_status,
                "accounts": {"ensured": accounts_problem is None, "problem": accounts_problem},
            },
        )
        stop.wait(_ROUND_SECONDS if accounts_problem is None else pause(attempts))
    issuance.interrupt()


def pause(attempts: int) -> float:
    """Return the seconds to wait after so many vain attempts: 1 at first, later up to 60."""
    if attempts <= _QUICK_ATTEMPTS:
        return _FIRST_PAUSE_SECONDS
    return min(_ROUND_SECONDS, _SLOWER_FACTOR ** min(attempts - _QUICK_ATTEMPTS, 16))


class Herald:
    """Tells a problem when it appears and when it is gone, not once a round."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._known: dict[str, str | None] = {}

    def note(self, duty: str, problem: str | None) -> str | None:
        """Tell `problem` of `duty` if it is news, and return it."""
        before = self._known.get(duty, "")
        if problem is not None and problem != before:
            self._tell(f"{duty}: {problem}")
        elif problem is None and before is not None:
            self._tell(f"{duty}: in order")
        self._known[duty] = problem
        return problem


def _try(duty: Callable[[], object], name: str, herald: Herald) -> str | None:
    try:
        duty()
    except HelperError as error:
        return herald.note(name, error.message)
    return herald.note(name, None)


def _certificate_status(work: Duties, now: datetime, herald: Herald) -> dict[str, Any]:
    state = work.certificate(now)
    return {**summarise(state), "problem": herald.note("certificate", state.problem)}


def summarise(state: certificate.State) -> dict[str, Any]:
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
