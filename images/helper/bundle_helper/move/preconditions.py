"""Whether a newer PostgreSQL may take this database over: what forbids it is said before anything changes."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from ..backup.progress import format_size
from ..errors import HelperError
from ..restore.loading import connect_to_data

if TYPE_CHECKING:
    import psycopg

    from ..database.instance import InstanceRecord, Moved
    from ..settings.backup_settings import BackupSettings

# The new database beside the old one, and its write-ahead log while it is filled.
_ROOM: Final = 2


def require_ready(
    superuser: psycopg.Connection, settings: BackupSettings, record: InstanceRecord
) -> None:
    """HelperError if the server left, Synapse still rebuilds tables, or the disk has no room for two more."""
    if record.moved is not None:
        _require_here(record.moved)
        return
    _require_settled(settings)
    row = superuser.execute(
        "SELECT pg_database_size(oid) FROM pg_database WHERE datname = %s",
        (settings.database.database_name,),
    ).fetchone()
    needed = _ROOM * (int(row[0]) if row else 0)
    # PostgreSQL's own volume is not visible here; Docker keeps all volumes in one place.
    free = shutil.disk_usage(settings.state_directory.parent).free
    if free < needed:
        raise HelperError(
            f"the disk with Docker's volumes has {format_size(free)} free, and a second database needs"
            f" {format_size(needed)} there meanwhile. Nothing was changed. Free some room, then run this"
            " again."
        )


def _require_here(moved: Moved) -> None:
    if not moved.postgres:
        raise HelperError(
            f"this server moved to another machine on {moved.time}. Nothing was changed. To start it here"
            " again, as long as nobody has restored it elsewhere: `docker compose run --rm backup move"
            " --undo`."
        )


def _require_settled(settings: BackupSettings) -> None:
    """HelperError while Synapse's background updates have not ended, which change tables for hours."""
    with connect_to_data(settings.database) as connection:
        row = connection.execute("SELECT to_regclass('public.background_updates')").fetchone()
        if row is None or row[0] is None:
            return
        waiting = connection.execute("SELECT update_name FROM background_updates").fetchall()
    if waiting:
        raise HelperError(
            f"Synapse is still rebuilding its tables ({len(waiting)} to go, {waiting[0][0]} among them)."
            " Nothing was changed. Leave it running, and run this again when it is done."
        )
