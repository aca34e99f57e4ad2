"""Whether a set from here belongs in the repository: not once another machine or copy is the server.

A forgotten old machine would otherwise go on making sets, and rotate the good ones away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .. import storage
from ..database import overtaking
from ..errors import HelperError
from .repository_errors import RepositoryMissingError
from .sets import read_sets, read_takeovers

if TYPE_CHECKING:
    from ..database.instance import InstanceRecord
    from ..settings.backup_settings import BackupSettings
    from .progress import Report
    from .repository import Repository, Snapshot

_USED: Final = "repositories.json"


class TakenOverError(HelperError):
    """Another machine has restored a set since, and is the server now."""


class RepositoryChangedError(HelperError):
    """At the repository's place there is another one than before."""


def require_server(settings: BackupSettings, record: InstanceRecord) -> None:
    """Raise OvertakenError if another copy of this server has claimed its name; asks nobody but the claim's memory."""
    if overtaking.is_overtaken(settings.database, record):
        raise overtaking.OvertakenError(
            f"nothing is backed up here: {overtaking.explain(settings.database)}"
        )


def watch_server(settings: BackupSettings, record: InstanceRecord, report: Report) -> Report:
    """Return `report` as one that ends a step which takes hours by OvertakenError, as soon as it is in vain."""

    def watch(done: int, total: int | None) -> None:
        require_server(settings, record)
        report(done, total)

    return watch


def require_own(
    repository: Repository,
    record: InstanceRecord,
    snapshots: tuple[Snapshot, ...],
    outcome: str = "Nothing was stored or deleted",
) -> None:
    """Raise TakenOverError if another instance has a higher epoch than `record`, as `snapshots` show."""
    held = [(one.epoch, one.instance, one.time) for one in read_takeovers(repository, snapshots)]
    held += [
        (one.manifest.epoch, one.manifest.instance, one.manifest.time)
        for one in read_sets(repository, snapshots)
    ]
    for epoch, instance, time in held:
        if instance != record.id and epoch > record.epoch:
            raise TakenOverError(
                f"another machine took over this server, as the repository at"
                f" {repository.settings.repository.name} shows ({time:%Y-%m-%d %H:%M} UTC). {outcome}."
                " If that machine is the server now, type `docker compose down` here. If this one is to be"
                " the server, give it a repository of its own:"
                " `backup.repository` in settings.yaml."
            )


def open_repository(repository: Repository, *, accept_new: bool = False) -> None:
    """Make sure that the repository is the one that was used before; make it if there never was one.

    A disk that is not mounted must not turn into a new, empty repository. With `accept_new` whatever
    is found there is taken from now on. RepositoryMissingError, RepositoryChangedError.
    """
    known = None if accept_new else _find_known(repository)
    try:
        found = repository.read_id()
    except RepositoryMissingError:
        if known:
            raise
        found = repository.init()
    if known not in {None, found}:
        name = repository.settings.repository.name
        raise RepositoryChangedError(
            f"the repository at {name} is not the one that was used before. If a disk or a share"
            " belongs there, mount it and repeat. To use this one from now on:"
            " `docker compose run --rm backup now --new-repository`."
        )
    if known is None:
        _remember(repository, found)


def exists(repository: Repository) -> bool:
    """Return whether there is a repository; RepositoryMissingError if one that was used is not there."""
    try:
        repository.read_id()
    except RepositoryMissingError:
        if _find_known(repository):
            raise
        return False
    return True


def _find_known(repository: Repository) -> str | None:
    """Return the id of the repository that was used at this place before."""
    return _read_used(repository).get(repository.settings.repository.location)


def _read_used(repository: Repository) -> dict[str, str]:
    path = repository.settings.state_directory / _USED
    return storage.read_json(path) if path.exists() else {}


def _remember(repository: Repository, found: str) -> None:
    settings = repository.settings
    used = _read_used(repository) | {settings.repository.location: found}
    storage.write_json(settings.state_directory / _USED, used)
