"""What the service says of its sets and drills, in a file that the helper reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from .. import locks, storage
from ..errors import HelperError

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from .manifest import SetManifest

_FILE: Final = "status.json"


def read_status(directory: Path) -> dict[str, Any]:
    """Return what was noted last; nothing before the first note."""
    try:
        return storage.read_json(directory / _FILE)
    except HelperError:
        return {}


def note_set(directory: Path, manifest: SetManifest, now: datetime) -> None:
    """Note a new set, and that making sets works again."""
    made = {
        "set": manifest.set,
        "kind": manifest.kind,
        "time": manifest.time.isoformat(),
        "finished": now.isoformat(),
        "dump_bytes": manifest.dump_bytes,
    }
    _note(directory, last_set=made)
    note_problem(directory, None, now)


def note_problem(directory: Path, problem: str | None, now: datetime) -> None:
    """Note what is wrong with making sets, and since when."""
    _note_failure(directory, "problem", "failing_since", problem, now)


def note_drill(directory: Path, name: str | None, problem: str | None, now: datetime) -> None:
    """Note a drill with the set called `name`; without a problem it was a good one."""
    if problem is None:
        _note(directory, last_drill={"set": name, "time": now.isoformat()})
    _note(directory, drilled=now.isoformat())
    _note_failure(directory, "drill_problem", "drill_failing_since", problem, now)


def note_next(directory: Path, due: datetime, now: datetime) -> None:
    """Note when the next set is due, and since when the schedule has been running."""
    _note(
        directory, next=due.isoformat(), since=read_status(directory).get("since", now.isoformat())
    )


def _note_failure(
    directory: Path, name: str, since_name: str, problem: str | None, now: datetime
) -> None:
    since = read_status(directory).get(since_name) or now.isoformat()
    _note(directory, **{name: problem, since_name: since if problem else None})


def _note(directory: Path, **entries: Any) -> None:
    with locks.lock_directory(directory):
        storage.write_json(directory / _FILE, read_status(directory) | entries)
