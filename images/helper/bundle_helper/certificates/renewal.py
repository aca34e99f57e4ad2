"""The certificate of an ACME authority over the years: adopts what certbot has, asks when it is time."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import HelperError
from ..settings.environment import read_secret
from . import certbot, history, issuance, keeper, lineage, published, schedule
from .origin import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..settings.issuers import AcmeSettings
    from ..settings.service_settings import ServiceSettings
    from .certbot import Wish
    from .keeper import State
    from .schedule import History


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
        unwritable = history.write_again(self._settings, self._acme)
        state = self.describe(self.adopt(now))
        problems = dict.fromkeys(filter(None, (state.problem, unwritable)))
        return replace(state, problem="; ".join(problems) or None)

    def attempt(self, wish: Wish) -> None:
        """Ask the authority now and publish what comes; HelperError says why nothing came.

        A rehearsal leaves no trace. What another process does at the moment is not disturbed.
        """
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(issuance.alone(self._settings))
                issuance.obtain(self._settings, wish, self._environ, self._tell)
                if wish.rehearsal:
                    return
                self._adopt_strictly()
            except issuance.BusyError:
                raise
            except Exception as error:
                if not wish.rehearsal:
                    self._remember(self._describe_failure(self.read_history(), error))
                raise
            self._remember(schedule.succeed(self.read_history(), self._now()))

    def _describe_failure(self, before: History, error: Exception) -> History:
        if isinstance(error, issuance.NotReadyError):
            return schedule.postpone(before, self._now(), error.message)
        if isinstance(error, issuance.IssuanceError):
            return schedule.fail(before, self._now(), error.message, error.not_before)
        problem = f"the attempt met something unexpected ({type(error).__name__})"
        return schedule.fail(before, self._now(), problem)

    def _adopt_strictly(self) -> None:
        """Publish what certbot says that it has saved; IssuanceError if that is not there."""
        if not lineage.exists(self._settings):
            raise issuance.IssuanceError(
                "certbot said that all went well, but its certificate is not where it belongs; see"
                " what is in live/ of the volume `letsencrypt`"
            )
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
                state = keeper.adopt(self._settings, now, self._tell, None)
                return replace(state, problem=error.message)
        return keeper.adopt(self._settings, now, self._tell, candidate)

    def describe(self, state: State) -> State:
        """Add to a state what the history knows."""
        known = self.read_history()
        problems = dict.fromkeys(filter(None, (known.problem, state.problem)))
        planned = schedule.next_attempt(known, self._settings.homeserver)
        since = known.failing_since
        if since is None and state.origin == PLACEHOLDER:
            # Whatever the reason is, and even if there seems to be none.
            since = published.published_at(self._settings.certificates_directory)
        return replace(
            state,
            problem="; ".join(problems) or None,
            failing_since=since,
            next_attempt=planned if known.attempted or known.not_before else None,
        )

    def read_history(self) -> History:
        """Return what became of the attempts with the present settings; a new one if there is none."""
        return history.read(self._settings, self._acme, self._fingerprint())

    def must_ask(self, state: State, now: datetime) -> bool:
        """Say whether it is time to ask the authority for a better certificate than `state` has."""
        known = self.read_history()
        fresh = state.deadlines is not None and now < state.deadlines.warning
        own = state.origin == self._settings.certificate_issuer
        if own and fresh and not lineage.exists(self._settings):
            # The volume was lost, the certificate was not: another one would only use up a limit.
            return False
        due = schedule.is_due(known, self._settings.homeserver, now)
        waits = known.failures or (known.not_before is not None and known.not_before > now)
        if own and state.deadlines is not None and not fresh and not waits:
            # It became due since the last question.
            asked = known.attempted
            return asked is None or asked < state.deadlines.warning or due
        return due

    def try_quietly(self) -> None:
        """Make an attempt whose end is told by the next look alone."""
        # What went wrong is in the history, and from there in the status.
        with contextlib.suppress(Exception):
            self.attempt(certbot.Wish())

    @property
    def _acme(self) -> AcmeSettings:
        if self._settings.acme is None:
            raise HelperError(f"{self._settings.certificate_issuer} is no ACME authority")
        return self._settings.acme

    def _remember(self, known: History) -> None:
        # What the volume refuses is a problem of each look, until it takes it.
        with contextlib.suppress(HelperError):
            history.write(self._settings, self._acme, known)

    def _fingerprint(self) -> str:
        """Return a digest of what an attempt depends on: with another token it is worth a new one."""
        arguments = certbot.certbot_arguments(self._settings, self._acme, certbot.Wish())
        try:
            token = read_secret(self._acme.token_file).reveal()
        except ValueError:
            token = ""
        return hashlib.sha256("\0".join([*arguments[1:], token]).encode()).hexdigest()
