"""Whether what was started is sound: the bundle's check and Synapse's log, against what they were before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..errors import BundleError
from . import synapse_log
from .image_changes import list_synapse
from .update import Update
from .update_journal import UpdateJournal

# A tunnel takes a moment to be connected again.
_CHECKS: Final = 2


def prove(update: Update) -> None:
    """Raise BundleError for what is wrong in check or log and was not before."""
    broken = _check_patiently(update)
    if broken:
        rows = "; ".join(f"{name}: {detail}" for name, detail in broken.items())
        raise BundleError(f"The check failed, and did not before: {rows}")
    services = list_synapse(update.engine.read_present())
    log = update.engine.read_log(services)
    if marks := synapse_log.find_marks(log):
        raise BundleError(f"Synapse's log says that its data is wrong: {marks[0]}")
    if new := synapse_log.list_tracebacks(log) - set(update.journal.tracebacks):
        raise BundleError(
            f"Synapse's log has errors that it did not have: {', '.join(sorted(new))}"
        )


def _check_patiently(update: Update) -> dict[str, str]:
    """Return the rows that fail each time, and held before the update."""
    broken: dict[str, str] = {}
    for attempt in range(_CHECKS):
        if attempt:
            update.report("the check failed; once more ...")
        rows = update.engine.check()
        broken = find_broken(rows, update.journal)
        if not broken:
            for name, detail in (rows or {}).items():
                if detail:
                    update.report(f"note: {name}: {detail}")
            break
    return broken


def find_broken(rows: Mapping[str, str] | None, journal: UpdateJournal) -> dict[str, str]:
    """Return the rows of a check that held before an update and fail now.

    One that a newer version asks for the first time is no reason to go back.
    """
    if rows is None:
        return {"check": "it did not run"}
    held = rows if journal.held is None else journal.held
    return {name: detail for name, detail in rows.items() if detail and name in held}
