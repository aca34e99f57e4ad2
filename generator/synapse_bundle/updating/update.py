"""One update: where, with which settings, and what it has noted so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from .. import pipeline
from ..errors import BundleError
from ..planning import COMPOSE
from ..settings.model import Settings
from . import update_journal
from .update_engine import UpdateEngine
from .update_journal import Ledger, UpdateJournal


@dataclass(kw_only=True)
class Update:
    """An update of the bundle in `bundle`; file names in the settings are relative to `base`.

    `offline` takes the images that are here. `one_way` accepts that there may be no way back. `ask`
    puts a question to a person, and is False where there is none; `report` prints a line. `attempt` is what an update
    without a person is for.
    """

    settings: Settings
    bundle: Path
    base: Path
    engine: UpdateEngine
    ledger: Ledger
    offline: bool
    one_way: bool
    ask: Callable[[str], bool]
    report: Callable[[str], None]
    now: Callable[[], datetime]
    attempt: str = ""

    @property
    def journal(self) -> UpdateJournal:
        """The update that is under way."""
        if self.ledger.underway is None:
            raise BundleError("No update is under way.")
        return self.ledger.underway

    def note(self, **changes: Any) -> None:
        """Put on disk what has changed in the journal."""
        self.settle(underway=replace(self.journal, **changes))

    def settle(self, **changes: Any) -> None:
        """Put on disk what has changed in the ledger."""
        self.ledger = replace(self.ledger, **changes)
        update_journal.write(self.bundle, self.ledger)

    def prepare(self) -> pipeline.Preparation:
        """Plan the bundle; write nothing."""
        prepared = pipeline.prepare(self.settings, self.bundle, self.base, {}, force=False)
        pipeline.refuse_conflicts(prepared.changes)
        return prepared


def read_compose(prepared: pipeline.Preparation) -> bytes:
    """Return the compose.yaml of a plan."""
    return next(file.content for file in prepared.plan.files if file.path == COMPOSE)
