"""The duty that makes the first accounts: asks Synapse until they exist."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from .. import status, storage
from ..errors import HelperError
from .supervisor import tell

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ..settings.service_settings import ServiceSettings

_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
# While Synapse starts, ask often, so that no one waits for the helper; then do not fill its log.
_QUICK_ATTEMPTS: Final = 60
_SLOWER_FACTOR: Final = 2.0


def make_accounts(
    settings: ServiceSettings,
    ensure: Callable[[ServiceSettings], tuple[str, ...]],
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Ask Synapse until the first accounts exist; leave the reason why they do not, meanwhile."""
    attempts = 0
    known: str | None = None
    while True:
        try:
            for sentence in ensure(settings):
                tell(sentence)
        except HelperError as error:
            if error.message != known:
                known = error.message
                _leave_state(settings.state_directory, known)
        else:
            _leave_state(settings.state_directory, None)
            return
        attempts += 1
        sleep(_pause(attempts))


def _leave_state(directory: Path, problem: str | None) -> None:
    content = {"ensured": problem is None, "problem": problem}
    storage.write_json(directory / f"{status.ACCOUNTS}.json", content)


def _pause(attempts: int) -> float:
    """Return the seconds to wait after so many failed attempts: 1 at first, later up to 60."""
    if attempts <= _QUICK_ATTEMPTS:
        return _FIRST_PAUSE_SECONDS
    return min(_LONGEST_PAUSE_SECONDS, _SLOWER_FACTOR ** min(attempts - _QUICK_ATTEMPTS, 16))
