"""Whether sets and drills are recent and good, by the report of the service `backup`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from .. import storage
from ..errors import HelperError

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings

_DAY: Final = timedelta(days=1)
# What is missed once is made up; older than this many periods it is overdue.
_PERIODS: Final = 2
BACKUP, DRILL = "backup", "drill"


def check_backup(settings: ServiceSettings, now: datetime) -> str | None:
    """Return what is wrong with the sets: the last one failed, or there is none of two days."""
    return _check(settings, now, ("problem", "last_set"), _DAY, "set")


def check_drill(settings: ServiceSettings, now: datetime) -> str | None:
    """Return what is wrong with the drills: the last one failed, or there is none of two periods."""
    period = settings.backup_drill or _DAY
    return _check(settings, now, ("drill_problem", "last_drill"), period, "drill")


def describe(settings: ServiceSettings, last: str) -> str:
    """Return the time and the set of the entry `last` of the report; before the first, what comes next."""
    status = _read(settings)
    entry = status.get(last)
    if entry:
        return f"{_show(entry['time'])}, set {entry['set']}"
    return f"none yet; the next set is due {_show(status.get('next', ''))}"


def _check(
    settings: ServiceSettings,
    now: datetime,
    names: tuple[str, str],
    period: timedelta,
    what: str,
) -> str | None:
    try:
        status = _read(settings)
    except HelperError as error:
        return f"there is no report of backups: {error.message}"
    problem, last = (status.get(name) for name in names)
    if problem:
        return str(problem)
    reference = last["time"] if last else status.get("since")
    if reference is None or now - datetime.fromisoformat(reference) <= _PERIODS * period:
        return None
    return f"the last {what} is overdue: " + (
        f"it is of {_show(reference)}" if last else f"there is none since {_show(reference)}"
    )


def _read(settings: ServiceSettings) -> dict[str, Any]:
    return storage.read_json(settings.backup_report_file)


def _show(moment: str) -> str:
    if not moment:
        return "soon"
    return f"{datetime.fromisoformat(moment).astimezone(UTC):%Y-%m-%d %H:%M} UTC"
