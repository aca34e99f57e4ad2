"""This bundle's own claim: whose data it is, what it remembers, and what follows from it here."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Final

from .. import locks
from ..errors import HelperError
from . import gate, memory
from .claiming import Claiming, Outcome, Pace
from .data_identity import read_identity
from .rules import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ..settings.claim_settings import ClaimSettings
    from ..settings.issuers import Acme
    from ..settings.service_settings import ServiceSettings
    from .claim_record import ClaimRecord
    from .memory import ClaimMemory

REAL_PACE: Final = Pace(monotonic=time.monotonic, sleep=time.sleep)
_OVERRIDE: Final = (
    "If no other copy of this server runs, type"
    " `docker compose exec helper claim take {name} --offline`."
)


class BundleClaim:
    """The claim of a bundle that has a DNS token."""

    def __init__(
        self, settings: ServiceSettings, claim: ClaimSettings, issuer: Acme, pace: Pace = REAL_PACE
    ) -> None:
        self._settings = settings
        self._claim = claim
        self._token_file: Path = issuer.token_file
        self._pace = pace

    @contextlib.contextmanager
    def recall(self) -> Iterator[ClaimMemory]:
        """Hold what is remembered of this data, which no other process then changes.

        HelperError if bootstrap has not reported whose data this is, or the memory is damaged.
        """
        identity = read_identity(self._settings.database_report_file)
        gate.name_data(self._claim, identity.instance)
        with _lock(self._claim.directory):
            yield memory.recall(self._claim.directory, identity.instance, identity.epoch)

    def run_round(
        self, remembered: ClaimMemory, last: Mapping[str, Any], leave: Callable[[Outcome], None]
    ) -> Outcome:
        """Read the record and do what follows; `last` is what the round before this one left."""
        # A restore may have exchanged the data while the helper ran.
        same = last.get("instance") == remembered.instance
        session = last.get("session") if same else None
        return self._open(leave).run_round(remembered, session)

    def take(self, remembered: ClaimMemory, tell: Callable[[str], None]) -> Outcome:
        """Take the name from whoever has it; HelperError if that is impossible."""
        return self._open(lambda _: None).take(remembered, tell)

    def take_offline(self, remembered: ClaimMemory) -> Outcome:
        """Serve although the record can be neither read nor written, as a person asked."""
        held = remembered.change(Standing.HELD)
        held.save(self._claim.directory)
        return Outcome(memory=held)

    def look(self) -> tuple[ClaimRecord, ...]:
        """Return the claims that DNS shows; UnreadableError if it does not answer."""
        import dns.exception  # noqa: PLC0415 (a bundle that gave way needs no DNS)
        import dns.resolver  # noqa: PLC0415

        from .dns_view import look_up  # noqa: PLC0415

        try:
            resolver = dns.resolver.Resolver()
        except dns.exception.DNSException as error:
            raise HelperError("/etc/resolv.conf does not name a resolver") from error
        return look_up(self._settings.homeserver, resolver)

    def read(self) -> tuple[ClaimRecord, ...]:
        """Return the claims that Cloudflare's API shows; UnreadableError if it does not answer."""
        from .zone_editor import ZoneEditor  # noqa: PLC0415

        editor = ZoneEditor(self._settings.homeserver, self._token_file)
        return tuple(editor.read().values())

    def apply(self, outcome: Outcome) -> dict[str, Any]:
        """Open or close the gate, and return what the supervisor is to know."""
        if outcome.held:
            gate.open_gate(self._claim)
        else:
            gate.close_gate(self._claim, stood_down=outcome.memory.standing is Standing.DOWN)
        return {
            "held": outcome.held,
            "standing": outcome.memory.standing,
            "instance": outcome.memory.instance,
            "epoch": outcome.memory.epoch,
            "session": outcome.session,
            "problem": self._explain(outcome),
        }

    def _open(self, serve: Callable[[Outcome], None]) -> Claiming:
        from .zone_editor import ZoneEditor  # noqa: PLC0415

        return Claiming(
            directory=self._claim.directory,
            editor=ZoneEditor(self._settings.homeserver, self._token_file),
            look=self.look,
            pace=self._pace,
            serve=serve,
        )

    def _explain(self, outcome: Outcome) -> str | None:
        name = self._settings.server_name
        if outcome.memory.standing is Standing.DOWN:
            return (
                f"another copy of this server has claimed {self._settings.homeserver}, so this one"
                " does not serve: the tunnel is closed and Apache answers 503. Stop this copy with"
                " `docker compose down`; or, if it is the right one, stop the other and type"
                f" `docker compose exec helper claim take {name}` here."
            )
        if outcome.held or outcome.problem is None:
            return outcome.problem
        return (
            f"{outcome.problem}, so this copy cannot know whether another one serves"
            f" {self._settings.homeserver}, and waits. {_OVERRIDE.format(name=name)}"
        )


@contextlib.contextmanager
def _lock(directory: Path) -> Iterator[None]:
    try:
        with locks.lock_directory(directory):
            yield
    except OSError as error:
        raise HelperError(
            f"{directory} cannot be used ({error.strerror}). Check the volume mounted there: its"
            " owner must be this container's user."
        ) from error
