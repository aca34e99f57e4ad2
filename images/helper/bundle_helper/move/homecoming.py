"""The server comes back to this machine, unless another one has taken it over meanwhile.

The final set is revoked first and the repository asked afterwards, while a restore records its takeover
first and then looks whether the set still counts: so of two at once, at least one sees the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backup.repository import Repository
from ..backup.repository_errors import RepositoryError
from ..backup.sets import read_takeovers, revoke
from ..database import convergence, fence, overtaking
from ..database.catalog import LEAST_PRIVILEGED, read_role
from ..database.connection import connect_as_superuser, explain_refusals
from ..errors import HelperError
from .departure import LOCK_PATIENCE, find_final_set

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg

    from ..backup.progress import Progress
    from ..backup.repository import Snapshot
    from ..backup.sets import Takeover
    from ..database.instance import InstanceRecord
    from ..settings.backup_settings import BackupSettings


def undo_move(settings: BackupSettings, tell: Progress, *, override: bool = False) -> None:
    """Let the server start here again; HelperError if another machine has restored its final set.

    `override`: the operator has typed that it is to start here all the same.
    """
    database = settings.database
    with explain_refusals(), connect_as_superuser(database, tell=tell) as superuser:
        convergence.lock(superuser, LOCK_PATIENCE)
        record = fence.require_record(superuser, database)
        if record.moved is None and _may_log_in(superuser, database.database_role):
            tell("this server has not moved; there is nothing to undo")
            return
        if record.overtaken and database.claim_directory is not None:
            # Only the claim can say who is the server: what is opened here would be shut again.
            raise overtaking.OvertakenError(overtaking.explain(database))
        epoch = _settle(Repository(settings), record, tell, override=override)
        fence.lift(superuser, database, epoch)
    tell("the server can start here again: `docker compose up -d`")


def _may_log_in(superuser: psycopg.Connection, role: str) -> bool:
    found = read_role(superuser, role)
    return found is not None and found.login == LEAST_PRIVILEGED.login


def _settle(
    repository: Repository, record: InstanceRecord, tell: Callable[[str], None], *, override: bool
) -> int:
    """Make the final set void, and return the epoch that the data here has from now on."""
    try:
        snapshots = repository.snapshots()
        if not override:
            _refuse_taken(_find_takers(repository, record, snapshots))
        final = find_final_set(repository, record, snapshots)
        if final is not None:
            revoke(repository, final.set)
        takers = _find_takers(repository, record, repository.snapshots())
        if not override:
            _refuse_taken(takers)
        # Higher than the other's, which then makes no more sets into this repository.
        return max((taker.epoch + 1 for taker in takers), default=record.epoch)
    except RepositoryError as error:
        if not override:
            raise HelperError(
                "whether another machine has restored this server cannot be found out, so nothing was"
                f" changed: {error.message}\n{_explain_override(repository)}"
            ) from error
        tell(f"the repository was not asked: {error.message}")
        # Whoever has restored the final set meanwhile has the next one.
        return record.epoch + 2


def _find_takers(
    repository: Repository, record: InstanceRecord, snapshots: tuple[Snapshot, ...]
) -> list[Takeover]:
    return [
        one
        for one in read_takeovers(repository, snapshots)
        if one.instance != record.id and one.epoch > record.epoch
    ]


def _refuse_taken(takers: list[Takeover]) -> None:
    if not takers:
        return
    first = takers[0]
    raise HelperError(
        f"the set {first.set} was restored on {first.time:%Y-%m-%d %H:%M} UTC by another machine"
        f" (instance {first.instance}), which is the server now. Nothing was changed. Two running copies"
        " of a server damage each other. If that one is stopped for good, and what happened on it may be"
        " lost, add `--override` and the server name to this command."
    )


def _explain_override(repository: Repository) -> str:
    return (
        "If you are certain that no other machine has restored this server:"
        " `docker compose run --rm backup move --undo --override"
        f" {repository.settings.server_name}`."
    )
