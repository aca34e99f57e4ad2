"""What follows a good set: old ones are deleted, and part of the repository is read and checked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from .. import storage
from ..errors import HelperError
from .repository_errors import RepositoryError, RepositoryLockedError
from .retention import choose_forgotten

if TYPE_CHECKING:
    from pathlib import Path

    from .progress import Progress
    from .repository import Repository

_FILE: Final = "maintenance.json"
_PRUNE_PERIOD: Final = timedelta(days=7)
# restic's limit for the parts of `check --read-data-subset`.
_MOST_PARTS: Final = 256


def maintain(repository: Repository, now: datetime, progress: Progress) -> None:
    """Delete what is due, and check the next part of the repository.

    RepositoryError if the repository is damaged. Where another restic works on it, everything waits
    until the next set.
    """
    try:
        try:
            _look_after(repository, now, progress)
        except RepositoryLockedError:
            # A process that was killed has left its lock.
            repository.unlock()
            _look_after(repository, now, progress)
    except RepositoryLockedError as error:
        progress(f"old sets stay, and nothing is checked, until the next set: {error.message}")


def _look_after(repository: Repository, now: datetime, progress: Progress) -> None:
    if not repository.settings.append_only:
        _delete(repository, now, progress)
    _check(repository, now, progress)


def _delete(repository: Repository, now: datetime, progress: Progress) -> None:
    settings = repository.settings
    forgotten = choose_forgotten(repository.recall_snapshots(), settings.keep, now)
    repository.forget(forgotten)
    state = _read(_locate(repository))
    pruned = state.get("pruned")
    if pruned is None:
        _note(repository, pruned=now.isoformat())
    elif abs(now - datetime.fromisoformat(pruned)) >= _PRUNE_PERIOD:
        progress("deleting data that no set needs any more")
        repository.prune()
        _note(repository, pruned=now.isoformat())


def _check(repository: Repository, now: datetime, progress: Progress) -> None:
    """Read the part of the data whose turn it is, at most one a day."""
    state, today = _read(_locate(repository)), now.astimezone(UTC).date().isoformat()
    if state.get("checked") == today:
        return
    parts = min(repository.settings.verify, _MOST_PARTS)
    part = int(state.get("part", 0)) % parts + 1
    progress(f"reading part {part} of {parts} of the repository")
    try:
        repository.check(f"{part}/{parts}")
    except RepositoryLockedError:
        raise
    except RepositoryError as error:
        raise RepositoryError(
            f"the repository at {repository.settings.repository.name} is damaged, so its sets may not"
            f" be restorable: {error.message} Copy it elsewhere if you can, and start a new one:"
            " another place in `backup.repository`, `make generate`,"
            " `docker compose run --rm backup now`."
        ) from error
    _note(repository, part=part, checked=today)


def _locate(repository: Repository) -> Path:
    return repository.settings.state_directory / _FILE


def _note(repository: Repository, **entries: Any) -> None:
    path = _locate(repository)
    storage.write_json(path, _read(path) | entries)


def _read(path: Path) -> dict[str, Any]:
    """Return what is known; nothing where it is lost, which costs a check and delays a prune."""
    try:
        return storage.read_json(path)
    except HelperError:
        return {}
