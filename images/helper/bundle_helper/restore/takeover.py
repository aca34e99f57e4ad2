"""Whether a set is the newest state of the server there is, and the record that it was taken over.

Only the final set of a move is, and only for the first who restores it. The record is written before
the repository is asked again: of two who restore at once, each sees the other's or at least one does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..backup.repository_errors import RepositoryError
from ..backup.sets import find_set, record_takeover, takeovers

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..backup.manifest import SetManifest
    from ..backup.repository import Repository
    from ..backup.sets import Takeover


def choose_epoch(manifest: SetManifest, records: tuple[Takeover, ...], instance: str) -> int:
    """Return the epoch of the restored data: higher than that of any other instance."""
    others = [record.epoch for record in records if record.instance != instance]
    return max(manifest.epoch, *others, 0) + 1


def take_over(
    repository: Repository,
    manifest: SetManifest,
    instance: str,
    epoch: int,
    tell: Callable[[str], None],
) -> bool:
    """Record the takeover; say whether the set still is the newest state of the server.

    A repository that cannot be written makes it an old one: then nobody can know.
    """
    try:
        known = takeovers(repository)
        if not any((record.set, record.instance) == (manifest.set, instance) for record in known):
            record_takeover(repository, manifest, instance, epoch)
        return manifest.kind == "final" and _is_newest(repository, manifest, instance)
    except RepositoryError as error:
        tell(
            f"the repository cannot be written, so the server that made this set does not learn that"
            f" it was restored: {error.message}"
        )
        return False


def _is_newest(repository: Repository, manifest: SetManifest, instance: str) -> bool:
    others = [record for record in takeovers(repository) if record.instance != instance]
    taken = any(
        record.set == manifest.set or record.epoch > manifest.epoch + 1 for record in others
    )
    return not taken and find_set(repository, None).manifest.set == manifest.set
