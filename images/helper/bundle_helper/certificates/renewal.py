"""The certificate of an ACME authority over the years: adopts what certbot has, asks when due."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import HelperError
from ..settings.environment import read_secret
from . import certbot, history, issuance, keeper, published, schedule
from .lineage import find_lineage
from .published import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..settings.certificate_settings import CertificateSettings
    from ..settings.issuers import Acme
    from .certbot import Attempt
    from .history import History
    from .keeper import CertificateState


class Renewal:
    """One server's certificate and the attempts to renew it; one attempt runs at a time."""

    def __init__(
        self,
        settings: CertificateSettings,
        acme: Acme,
        environ: Mapping[str, str],
        tell: Callable[[str], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._acme = acme
        self._environ = environ
        self._tell = tell
        self._now = now
        self._lineage = find_lineage(acme, settings.homeserver)
        self._places = (settings.state_directory, acme.lineages_directory)

    def ensure(self, now: datetime) -> CertificateState:
        """Publish what certbot has, and return the state; `must_ask` says what is next."""
        unwritable = history.write_again(*self._places)
        state = self.add_history(self._adopt(now))
        problems = dict.fromkeys(filter(None, (state.problem, unwritable)))
        return replace(state, problem="; ".join(problems) or None)

    def attempt(self, attempt: Attempt) -> None:
        """Ask the authority now and publish what comes; HelperError says why nothing came.

        A rehearsal leaves no trace. What another process does at the moment is not disturbed.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(issuance.hold_lineages(self._acme.lineages_directory))
                issuance.obtain(self._settings, self._acme, attempt, self._environ, self._tell)
                if attempt.rehearsal:
                    return
                self._adopt_strictly()
            except issuance.BusyError:
                raise
            except Exception as error:
                if not attempt.rehearsal:
                    self._remember(self._record_failure(self.read_history(), error))
                raise
            self._remember(self.read_history().after_success(self._now()))

    def _record_failure(self, before: History, error: Exception) -> History:
        if isinstance(error, issuance.NotReadyError):
            return before.postponed(self._now(), error.message)
        if isinstance(error, issuance.IssuanceError):
            return before.after_failure(self._now(), error.message, error.not_before)
        problem = f"the attempt met something unexpected ({type(error).__name__})"
        return before.after_failure(self._now(), problem)

    def _adopt_strictly(self) -> None:
        """Publish what certbot says that it has saved; IssuanceError if that is not there."""
        if not self._lineage.exists():
            raise issuance.IssuanceError(
                "certbot reported success, but its certificate is not where it belongs; see"
                " what is in live/ of the volume `letsencrypt`"
            )
        problem = self._adopt(self._now()).problem
        if problem is not None:
            raise issuance.IssuanceError(problem)

    def _adopt(self, now: datetime) -> CertificateState:
        """Publish what certbot has; a placeholder where it has nothing."""
        candidate, problem = None, None
        if self._lineage.exists():
            try:
                candidate = self._lineage.read()
            except HelperError as error:
                problem = error.message
        state = keeper.adopt(self._settings, now, self._tell, candidate)
        return replace(state, problem=problem or state.problem)

    def add_history(self, state: CertificateState) -> CertificateState:
        """Add to a state what the history knows."""
        known = self.read_history()
        problems = dict.fromkeys(filter(None, (known.problem, state.problem)))
        planned = schedule.next_attempt(known, self._settings.homeserver)
        since = known.failing_since
        if since is None and state.origin == PLACEHOLDER:
            # Whatever the reason is, and even if there seems to be none.
            since = published.read_time(self._settings.directory)
        return replace(
            state,
            problem="; ".join(problems) or None,
            failing_since=since,
            next_attempt=planned if known.attempted or known.not_before else None,
        )

    def read_history(self) -> History:
        """Return the history of the attempts with the present settings; a new one if there is none."""
        return history.read(*self._places, self._fingerprint())

    def must_ask(self, state: CertificateState, now: datetime) -> bool:
        """Say whether it is time to ask the authority for a better certificate than `state` has."""
        renewable_since = None
        if state.origin == self._acme.name and state.deadlines is not None:
            renewable_since = state.deadlines.warning
            if now < renewable_since:
                if not self._lineage.exists():
                    # The volume was lost, the certificate was not: another would only use up a limit.
                    return False
                renewable_since = None
        return schedule.is_due(
            self.read_history(), self._settings.homeserver, now, renewable_since=renewable_since
        )

    def try_quietly(self) -> None:
        """Make an attempt whose outcome is reported by the history, and from there in the status."""
        with contextlib.suppress(Exception):
            self.attempt(certbot.Attempt())

    def _remember(self, known: History) -> None:
        # What the volume refuses is reported each time, until it accepts it.
        with contextlib.suppress(HelperError):
            history.write(*self._places, known)

    def _fingerprint(self) -> str:
        """Return a digest of what an attempt depends on: another token justifies a new attempt."""
        arguments = certbot.build_arguments(self._settings, self._acme, certbot.Attempt())
        try:
            token = read_secret(self._acme.token_file).reveal()
        except ValueError:
            token = ""
        return hashlib.sha256("\0".join([*arguments[1:], token]).encode()).hexdigest()
