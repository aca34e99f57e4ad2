"""The claim as the service `backup` follows it: the database is shut to Synapse when this copy gives way."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import psycopg

from ..claim.memory import read_memory
from ..claim.rules import Standing
from ..database import convergence, fence, overtaking
from ..database.connection import connect_as_superuser, explain_refusals
from ..database.instance import read_record
from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..claim.memory import ClaimMemory
    from ..settings.database_settings import DatabaseSettings

_LOOK_SECONDS: Final = 30.0
_LOCK_PATIENCE: Final = "1s"


def start(settings: DatabaseSettings, tell: Callable[[str], None]) -> None:
    """Follow the claim until this process ends, beside a set that may take hours."""
    if settings.claim_directory is not None:
        watch = ClaimWatch(settings, tell)
        threading.Thread(target=watch.look_for_ever, daemon=True).start()


class ClaimWatch:
    """Follows where this copy stands, and asks the database only when that has changed."""

    def __init__(self, settings: DatabaseSettings, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._followed: tuple[str, Standing] | None = None

    def look_for_ever(self) -> None:
        """Look twice a minute."""
        while True:
            self.look()
            time.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Shut or open the database if the claim says so; what fails is said, and tried again."""
        directory = self._settings.claim_directory
        memory = read_memory(directory) if directory else None
        if memory is None or (memory.instance, memory.standing) == self._followed:
            return
        try:
            with explain_refusals(), connect_as_superuser(self._settings) as superuser:
                convergence.lock(superuser, _LOCK_PATIENCE)
                self._follow(superuser, memory)
        except HelperError as error:
            self._tell(error.message)
        else:
            self._followed = (memory.instance, memory.standing)

    def _follow(self, superuser: psycopg.Connection, memory: ClaimMemory) -> None:
        record = read_record(superuser, self._settings.database_name)
        # A server that moved is shut already, and what is half restored does not run.
        if record is None or record.moved or record.restoring or record.hash != memory.instance:
            return
        if memory.standing is Standing.DOWN and not record.overtaken:
            fence.shut_overtaken(superuser, self._settings, datetime.now(UTC))
            self._tell(overtaking.explain(self._settings))
        elif memory.standing is Standing.HELD:
            for change in fence.reopen(superuser, self._settings):
                self._tell(change)
