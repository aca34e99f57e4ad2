"""Whether a set is the newest state of the server there is, and the record that it was taken over.

Only the final set of a move is, and only for the first who restores it. The record is written before
the repository is asked again: of two who restore at once, each sees the other's or at least one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backup.repository_errors import RepositoryError
from ..backup.sets import choose_set, read_takeovers, record_takeover

if TYPE_CHECKING:
    from ..backup.manifest import SetManifest
    from ..backup.sets import Takeover
    from .restoration import Restoration


def choose_epoch(manifest: SetManifest, records: tuple[Takeover, ...], instance: str) -> int:
    """Return the epoch of the restored data: higher than that of any other instance."""
    others = [record.epoch for record in records if record.instance != instance]
    return max(manifest.epoch, *others, 0) + 1


def take_over(run: Restoration) -> bool:
    """Record the takeover; say whether the set still is the newest state of the server.

    A repository that cannot be written makes it an old one: then nobody can know.
    """
    taken = (run.manifest.set, run.record.id)
    try:
        if taken not in {(record.set, record.instance) for record in run.takeovers}:
            record_takeover(run.repository, run.manifest, run.record.id, run.record.epoch)
        return run.manifest.kind == "final" and _is_newest(run)
    except RepositoryError as error:
        run.tell(
            f"the repository cannot be written, so the server that made this set does not learn that"
            f" it was restored: {error.message}"
        )
        return False


def _is_newest(run: Restoration) -> bool:
    repository, manifest = run.repository, run.manifest
    snapshots = repository.snapshots()
    records = read_takeovers(repository, snapshots)
    taken = any(
        record.set == manifest.set or record.epoch > manifest.epoch + 1
        for record in records
        if record.instance != run.record.id
    )
    return not taken and choose_set(repository, snapshots, None).manifest.set == manifest.set
