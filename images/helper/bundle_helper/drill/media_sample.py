"""A sample of the files that the restored database names: each is in the set, with its content."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from ..backup.repository import Repository
    from ..backup.sets import BackupSet

_SAMPLE: Final = 32
_LARGEST: Final = 50_000_000
# Where Synapse keeps what its own users upload; see synapse/media/filepath.py.
_STORE: Final = "media_store/local_content"


class _Media(NamedTuple):
    id: str
    length: int
    # Of the content; Synapse notes it since its schema version 90.
    sha256: str | None

    @property
    def path(self) -> str:
        return f"{self.id[:2]}/{self.id[2:4]}/{self.id[4:]}"


def list_media_faults(
    repository: Repository, chosen: BackupSet, connection: psycopg.Connection
) -> list[str]:
    """Return one line for each file of the sample that the set does not hold as the database says."""
    settings = repository.settings
    if not (sample := _choose(connection)):
        return []
    target = settings.state_directory / "drill-media"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    try:
        repository.restore(
            f"{chosen.snapshot}:{settings.media_directory}/{_STORE}",
            target,
            include=[f"/{media.path}" for media in sample],
        )
        here = settings.media_directory / _STORE
        found = (_find_fault(media, target, here) for media in sample)
        return [fault for fault in found if fault]
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _choose(connection: psycopg.Connection) -> list[_Media]:
    row = connection.execute("SELECT to_regclass('public.local_media_repository')").fetchone()
    if row is None or row[0] is None:
        return []
    # As JSON, because an older schema lacks the hash. What has no length was never uploaded.
    rows = connection.execute(
        "SELECT media_id, media_length, to_jsonb(m) ->> 'sha256' FROM public.local_media_repository"
        " AS m WHERE media_length <= %s AND to_jsonb(m) ->> 'url_cache' IS NULL"
        " ORDER BY random() LIMIT %s",
        (_LARGEST, _SAMPLE),
    )
    return [_Media(*row) for row in rows]


def _find_fault(media: _Media, restored: Path, here: Path) -> str | None:
    path = restored / media.path
    if not path.is_file():
        # What an administrator deleted while the set was made is gone here too.
        return f"the file {media.id} is missing" if (here / media.path).exists() else None
    if path.stat().st_size != media.length:
        return f"the file {media.id} has {path.stat().st_size} bytes, not {media.length}"
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if media.sha256 not in {None, found}:
        return f"the file {media.id} has another content than the one that was uploaded"
    return None
