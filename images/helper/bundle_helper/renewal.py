"""The certificate of an ACME authority over the years: adopts what certbot has, asks when it is time."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from . import acme, certificate, issuance, lineage, report, schedule
from .environment import read_secret
from .errors import HelperError
from .schedule import History

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from .acme import Wish
    from .certificate import State
    from .settings import ServiceSettings

HISTORY = "history.json"


class Renewal:
    """One server's certificate and the attempts to renew it; one attempt runs at a time."""

    def __init__(
        self,
        settings: ServiceSettings,
        environ: Mapping[str, str],
        tell: Callable[[str], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._tell = tell
        self._now = now

    def ensure(self, now: datetime) -> State:
        """Publish what certbot has, and say how it goes; `must_ask` says what is next."""
        return self.describe(self.adopt(now))

    def attempt(self, wish: Wish) -> None:
        """Ask the authority now and publish what comes; HelperError says why nothing came.

        A rehearsal leaves no trace. What another process does at the moment is not disturbed.
        """
        with issuance.alone(self._settings):
            if wish.rehearsal:
                issuance.obtain(self._settings, wish, self._environ, self._tell)
                return
            history = self.read_history()
            try:
                issuance.obtain(self._settings, wish, self._environ, self._tell)
                self._adopt_strictly()
            except issuance.IssuanceError as error:
                failed = schedule.fail(history, self._now(), error.message, error.not_before)
                self._write_history(failed)
                raise
            except Exception as error:
                problem = f"the attempt met something unexpected ({type(error).__name__})"
                self._write_history(schedule.fail(history, self._now(), problem))
                raise
            self._write_history(schedule.succeed(history, self._now()))

    def _adopt_strictly(self) -> None:
        problem = self.adopt(self._now()).problem
        if problem is not None:
            raise issuance.IssuanceError(problem)

    def adopt(self, now: datetime) -> State:
        """Publish what certbot has; a placeholder where it has nothing."""
        candidate = None
        if lineage.exists(self._settings):
            try:
                candidate = lineage.read(self._settings)
            except HelperError as error:
                state = certificate.adopt(self._settings, now, self._tell, None)
                return replace(state, problem=error.message)
        return certificate.adopt(self._settings, now, self._tell, candidate)

    def describe(self, state: State) -> State:
        """Add to a state what the history knows."""
        history = self.read_history()
        problems = dict.fromkeys(filter(None, (history.problem, state.problem)))
        planned = schedule.next_attempt(history, self._settings.homeserver)
        return replace(
            state,
            problem="; ".join(problems) or None,
            failing_since=history.failing_since,
            next_attempt=planned if history.attempted else None,
        )

    def read_history(self) -> History:
        """Return what became of the attempts with the present settings; a new one if there is none."""
        fingerprint = self._fingerprint()
        try:
            history = schedule.from_json(report.read(self._history_file))
        except (HelperError, ValueError, LookupError, TypeError):
            return History(fingerprint=fingerprint)
        return history if history.fingerprint == fingerprint else History(fingerprint=fingerprint)

    def must_ask(self, state: State, now: datetime) -> bool:
        """Say whether it is time to ask the authority for a better certificate than `state` has."""
        history = self.read_history()
        fresh = state.deadlines is not None and now < state.deadlines.warning
        own = state.origin == self._settings.certificate_issuer
        if own and fresh and not lineage.exists(self._settings):
            # The volume was lost, the certificate was not: another one would only use up a limit.
            return False
        if own and state.deadlines is not None and not fresh and not history.failures:
            # It became due since the last question.
            asked = history.attempted
            return asked is None or asked < state.deadlines.warning or self._is_due(history, now)
        return self._is_due(history, now)

    def _is_due(self, history: History, now: datetime) -> bool:
        return schedule.is_due(history, self._settings.homeserver, now)

    def try_quietly(self) -> None:
        """Make an attempt whose end is told by the next look alone."""
        # What went wrong is in the history, and from there in the status.
        with contextlib.suppress(Exception):
            self.attempt(acme.Wish())

    @property
    def _history_file(self) -> Path:
        if self._settings.acme is None:
            raise HelperError(f"{self._settings.certificate_issuer} is no ACME authority")
        return self._settings.acme.lineages_directory / HISTORY

    def _write_history(self, history: History) -> None:
        report.write(self._history_file, schedule.to_json(history), mode=0o600)

    def _fingerprint(self) -> str:
        """Return a digest of what an attempt depends on: with another token it is worth a new one."""
        if self._settings.acme is None:
            return ""
        arguments = acme.certbot_arguments(self._settings, self._settings.acme, acme.Wish())
        try:
            token = read_secret(self._settings.acme.token_file).reveal()
        except ValueError:
            token = ""
        return hashlib.sha256("\0".join([*arguments[1:], token]).encode()).hexdigest()
