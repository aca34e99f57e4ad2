"""What is remembered of the attempts: in the volume over the years, in memory where that is full.

The pause between attempts follows from it, so an attempt that nobody could write down would be made
again a minute later, and each one could use up one of the few certificates that an authority gives.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .. import storage
from ..errors import HelperError
from . import schedule
from .schedule import History

if TYPE_CHECKING:
    from pathlib import Path

    from ..settings.issuers import AcmeSettings
    from ..settings.service_settings import ServiceSettings

HISTORY = "history.json"


def read(settings: ServiceSettings, acme: AcmeSettings, fingerprint: str) -> History:
    """Return what became of the attempts with the present settings; a new one if there is none.

    Of the volume's and memory's the later counts.
    """
    known = [
        history
        # Memory first: of two that are equally late it is the one that is never behind.
        for place in (settings.state_directory, acme.lineages_directory)
        if (history := _read_one(place / HISTORY)) and history.fingerprint == fingerprint
    ]
    return max(known, key=_moment, default=History(fingerprint=fingerprint))


def write(settings: ServiceSettings, acme: AcmeSettings, history: History) -> None:
    """Remember in both places; HelperError, after both were tried, if one refuses it."""
    with contextlib.ExitStack() as last:
        for place in (settings.state_directory, acme.lineages_directory):
            last.callback(storage.write, place / HISTORY, schedule.to_json(history), mode=0o600)


def write_again(settings: ServiceSettings, acme: AcmeSettings) -> str | None:
    """Write to the volume what it could not take earlier; return why it still cannot, or None."""
    remembered = _read_one(settings.state_directory / HISTORY)
    if remembered is None or remembered == _read_one(acme.lineages_directory / HISTORY):
        return None
    try:
        write(settings, acme, remembered)
    except HelperError as error:
        return error.message
    return None


def _read_one(path: Path) -> History | None:
    try:
        return schedule.from_json(storage.read(path))
    except (HelperError, ValueError, LookupError, TypeError):
        return None


def _moment(history: History) -> float:
    moments = (history.attempted, history.failing_since)
    return max((moment.timestamp() for moment in moments if moment), default=0)
