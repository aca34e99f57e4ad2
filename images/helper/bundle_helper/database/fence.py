"""The fence around a server that moves, or was overtaken: Synapse can neither read nor write its database.

The role may not log in, and the record beside the database says why: so `docker compose up`, a reboot and
a lost folder leave it standing, because the bootstrap reads the record before it touches the role.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from psycopg import sql

from ..errors import HelperError
from . import overtaking
from .catalog import read_role
from .instance import InstanceRecord, Moved, read_record, write_record

if TYPE_CHECKING:
    from datetime import datetime

    import psycopg

    from ..settings.database_settings import DatabaseSettings

_PATIENCE_SECONDS: Final = 30
_PAUSE_SECONDS: Final = 0.05


def fence(
    superuser: psycopg.Connection, settings: DatabaseSettings, moved: Moved
) -> InstanceRecord:
    """Shut Synapse out, with `moved` as the reason; return the record as it is now.

    When it returns no session of the role is left. HelperError if there is no data here, or if a
    session does not end.
    """
    return _shut(superuser, settings, replace(require_record(superuser, settings), moved=moved))


def shut_overtaken(
    superuser: psycopg.Connection, settings: DatabaseSettings, now: datetime
) -> InstanceRecord:
    """Shut Synapse out, because another copy of this server is the server; as `fence`."""
    moment = now.isoformat(timespec="seconds")
    record = replace(require_record(superuser, settings), overtaken=moment)
    return _shut(superuser, settings, record)


def _shut(
    superuser: psycopg.Connection, settings: DatabaseSettings, record: InstanceRecord
) -> InstanceRecord:
    # Together, so that a kill leaves neither a fence without its reason nor the opposite.
    with superuser.transaction():
        forbid_login(superuser, settings.database_role)
        write_record(superuser, settings.database_name, record)
    end_sessions(superuser, settings.database_role)
    return record


def lift(superuser: psycopg.Connection, settings: DatabaseSettings, epoch: int) -> InstanceRecord:
    """Let Synapse in again, with the data's new `epoch`; return the record as it is now."""
    record = require_record(superuser, settings)
    record = replace(record, moved=None, overtaken=None, epoch=epoch)
    with superuser.transaction():
        superuser.execute(
            sql.SQL("ALTER ROLE {} LOGIN").format(sql.Identifier(settings.database_role))
        )
        write_record(superuser, settings.database_name, record)
    return record


def reopen(superuser: psycopg.Connection, settings: DatabaseSettings) -> tuple[str, ...]:
    """Let Synapse in again if this copy was overtaken and holds its claim now; return what changed.

    OvertakenError if another copy is still the server.
    """
    record = read_record(superuser, settings.database_name)
    if record is None or not record.overtaken or record.moved or record.restoring:
        return ()
    if overtaking.is_overtaken(settings, record):
        raise overtaking.OvertakenError(overtaking.explain(settings))
    lift(superuser, settings, record.epoch)
    return ("this copy holds the claim to its name again: opened Synapse's database",)


def require_record(superuser: psycopg.Connection, settings: DatabaseSettings) -> InstanceRecord:
    """Return the record of the data; HelperError if there is none, or it is half restored."""
    record = read_record(superuser, settings.database_name)
    if record is None or read_role(superuser, settings.database_role) is None:
        raise HelperError(
            "there is no data here: this server has never been started. Nothing was changed."
        )
    if record.restoring:
        raise HelperError(
            f"a restore of the set {record.restoring} was interrupted. Nothing was changed."
            " Run `docker compose run --rm restore` again first."
        )
    if record.importing:
        raise HelperError(
            "an import was interrupted. Nothing was changed. Run the same `synapse-bundle import` again first."
        )
    return record


def forbid_login(superuser: psycopg.Connection, role: str) -> None:
    """Refuse new sessions of `role`."""
    superuser.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role)))


def end_sessions(superuser: psycopg.Connection, role: str) -> None:
    """End every session of `role` and wait until it is gone; HelperError if one stays."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while count_sessions(superuser, role):
        # Again in each round: one may have been about to log in.
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (role,)
        )
        if time.monotonic() > deadline:
            raise HelperError(
                f"a session of the role {role} does not end. Run `docker compose stop`, then this"
                " command again."
            )
        time.sleep(_PAUSE_SECONDS)


def count_sessions(superuser: psycopg.Connection, role: str) -> int:
    """Return how many sessions `role` has: more than none means that Synapse or a worker of it runs."""
    return len(
        superuser.execute("SELECT FROM pg_stat_activity WHERE usename = %s", (role,)).fetchall()
    )
