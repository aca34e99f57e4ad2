"""Which snapshots go: sets by days, weeks and months, and what killed backups left behind."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from .sets import DUMP, SET, VOID, choose_complete, read_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ..settings.backup_settings import Retention
    from .repository import Snapshot

# Of what is younger nothing goes: a set made by hand or before an update, a backup that still runs.
_YOUNG: Final = timedelta(days=2)
_FINAL: Final = "final"
_OURS: Final = frozenset({SET, DUMP, VOID})


def choose_forgotten(
    snapshots: tuple[Snapshot, ...], keep: Retention, now: datetime
) -> frozenset[str]:
    """Return the ids of the snapshots to delete, of those that are older than two days.

    Of complete sets the newest of each of so many days, weeks and months stays, counted in days that
    have a set, so a clock that jumps costs nothing; the newest of all and the last set of a move
    always stay. What never became a set, or was revoked, goes.
    """
    complete = choose_complete(snapshots)
    stay = {read_name(snapshot) for snapshot in _choose_kept(complete, keep)}
    return frozenset(
        snapshot.id
        for snapshot in snapshots
        if snapshot.tags & _OURS
        and read_name(snapshot) not in stay
        and now - snapshot.time > _YOUNG
    )


def _choose_kept(complete: Sequence[Snapshot], keep: Retention) -> list[Snapshot]:
    """Return the sets that stay, of complete ones with the newest first."""
    kept = [*complete[:1], *(snapshot for snapshot in complete if _FINAL in snapshot.tags)]
    kept += _choose_newest(complete, keep.daily, lambda time: time.date())
    kept += _choose_newest(complete, keep.weekly, lambda time: time.isocalendar()[:2])
    kept += _choose_newest(complete, keep.monthly, lambda time: (time.year, time.month))
    return kept


def _choose_newest(
    complete: Sequence[Snapshot], count: int, period: Callable[[datetime], object]
) -> list[Snapshot]:
    """Return the newest set of each of the last `count` periods that have one."""
    newest: dict[object, Snapshot] = {}
    for snapshot in complete:
        newest.setdefault(period(snapshot.time), snapshot)
    return list(newest.values())[:count]
