"""Synapse is shut out of its database for good: no `up`, `generate` or reboot starts what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..database import convergence, fence
from ..database.connection import connect_as_superuser, explain_refusals
from ..database.instance import Moved
from ..errors import HelperError
from ..move.departure import LOCK_PATIENCE

if TYPE_CHECKING:
    from datetime import datetime

    from ..backup.progress import Progress
    from ..settings.backup_settings import BackupSettings


def shut(settings: BackupSettings, set_name: str, now: datetime, tell: Progress) -> None:
    """Fence the database, with the server's last set as the way back; once more changes nothing.

    HelperError if the server has moved to another machine: then it is not this one that ends.
    """
    database = settings.database
    with explain_refusals(), connect_as_superuser(database, tell=tell) as superuser:
        convergence.lock(superuser, LOCK_PATIENCE)
        moved = fence.require_record(superuser, database).moved
        if moved and not moved.retired:
            raise HelperError(
                f"this server moved to another machine on {moved.time}, so it does not end here."
                " Nothing was changed."
            )
        moment = now.isoformat(timespec="seconds")
        fence.fence(superuser, database, moved or Moved(time=moment, set=set_name, retired=True))
    tell("Synapse is shut out of its database")
