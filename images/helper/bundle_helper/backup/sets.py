"""Which sets a repository holds, and who has restored one.

A set is two snapshots: the dump (tag `dump`), then media, folder and manifest (tag `set`). Both have
the tag `set-<name>`. Without the second there is no set, and a record with the tag `void` revokes one
that turned out to lack files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from .. import storage
from ..errors import HelperError
from .manifest import MANIFEST_FILE, ManifestError, SetManifest, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from .repository import Repository, Snapshot

SET: Final = "set"
DUMP: Final = "dump"
VOID: Final = "void"
TAKEOVER: Final = "takeover"
# The file in the snapshot of the dump.
DUMP_FILE: Final = "synapse.dump"
_TAKEOVER_FILE: Final = "takeover.json"


@dataclass(frozen=True, kw_only=True)
class BackupSet:
    """A complete set; `snapshot` is restic's id of media, folder and manifest, `size` as in `Snapshot`."""

    manifest: SetManifest
    snapshot: str
    size: int | None


@dataclass(frozen=True, kw_only=True)
class Takeover:
    """A set was restored: which, as which new instance, with which epoch, when."""

    set: str
    instance: str
    epoch: int
    time: datetime


def name_tag(name: str) -> str:
    """Return the tag that both snapshots of the set called `name` have."""
    return f"set-{name}"


def list_sets(repository: Repository) -> tuple[BackupSet, ...]:
    """Return the complete sets that this version can read, newest first."""
    return tuple(read_sets(repository, repository.snapshots()))


def read_sets(repository: Repository, snapshots: tuple[Snapshot, ...]) -> Iterator[BackupSet]:
    """Yield the complete sets among `snapshots` that this version can read, newest first."""
    found = (_try_reading(repository, snapshot) for snapshot in choose_complete(snapshots))
    return (one for one in found if one is not None)


def choose_complete(snapshots: tuple[Snapshot, ...]) -> tuple[Snapshot, ...]:
    """Return the snapshots of `snapshots` that complete a set, newest first."""
    voided = _collect_names(snapshots, VOID)
    dumped = _collect_names(snapshots, DUMP)
    return tuple(
        snapshot
        for snapshot in snapshots
        if SET in snapshot.tags and (read_name(snapshot) in dumped - voided)
    )


def read_name(snapshot: Snapshot) -> str | None:
    """Return the name of the set that a snapshot belongs to."""
    names = [tag for tag in snapshot.tags if tag.startswith(name_tag(""))]
    return names[0].removeprefix(name_tag("")) if names else None


def _collect_names(snapshots: tuple[Snapshot, ...], tag: str) -> set[str | None]:
    return {read_name(snapshot) for snapshot in snapshots if tag in snapshot.tags}


def find_set(repository: Repository, name: str | None) -> BackupSet:
    """Return the set called `name`, or the newest; HelperError if there is none that can be read."""
    return choose_set(repository, repository.snapshots(), name)


def choose_set(
    repository: Repository, snapshots: tuple[Snapshot, ...], name: str | None
) -> BackupSet:
    """Return the set called `name`, or the newest, among `snapshots`; HelperError if none can be read."""
    complete = choose_complete(snapshots)
    for snapshot in complete:
        if name in {None, read_name(snapshot)}:
            return _read_set(repository, snapshot)
    if name is not None and complete:
        known = ", ".join(str(read_name(snapshot)) for snapshot in complete)
        raise HelperError(f"there is no set {name}; these are complete: {known}")
    raise HelperError(
        f"there is no complete set at {repository.settings.repository.name}; make one where the"
        " server runs: `docker compose run --rm backup now`"
    )


def read_takeovers(repository: Repository, snapshots: tuple[Snapshot, ...]) -> tuple[Takeover, ...]:
    """Return who has restored sets, as the records among `snapshots` say, newest first."""
    return tuple(
        _parse_takeover(_read_file(repository, snapshot, _TAKEOVER_FILE))
        for snapshot in snapshots
        if TAKEOVER in snapshot.tags
    )


def record_takeover(
    repository: Repository, manifest: SetManifest, instance: str, epoch: int
) -> None:
    """Record that the set of `manifest` is restored as `instance`; RepositoryError if it cannot be."""
    content = {
        "set": manifest.set,
        "instance": instance,
        "epoch": epoch,
        "time": datetime.now(UTC).isoformat(),
    }
    _record(repository, _TAKEOVER_FILE, content, (TAKEOVER, name_tag(manifest.set)))


def revoke(repository: Repository, name: str) -> None:
    """Record that the set called `name` lacks files and does not count."""
    _record(repository, "void.json", {"set": name}, (VOID, name_tag(name)))


def _record(
    repository: Repository, name: str, content: Mapping[str, Any], tags: tuple[str, ...]
) -> None:
    file = repository.settings.runtime_directory / name
    storage.write_json(file, content)
    repository.backup_files((file,), tags)


def _try_reading(repository: Repository, snapshot: Snapshot) -> BackupSet | None:
    try:
        return _read_set(repository, snapshot)
    except ManifestError:
        return None


def _read_set(repository: Repository, snapshot: Snapshot) -> BackupSet:
    manifest = parse_manifest(_read_file(repository, snapshot, MANIFEST_FILE))
    return BackupSet(manifest=manifest, snapshot=snapshot.id, size=snapshot.size)


def _read_file(repository: Repository, snapshot: Snapshot, name: str) -> str:
    """Return the text of a file of a snapshot; it never changes, so a copy is kept here."""
    kept = _locate_copy(repository, snapshot.id)
    if kept.is_file():
        return kept.read_text(encoding="utf-8")
    path = next((path for path in snapshot.paths if path.endswith(f"/{name}")), f"/{name}")
    text = repository.read(snapshot.id, path)
    keep_copy(repository, snapshot.id, text)
    return text


def keep_copy(repository: Repository, snapshot: str, text: str) -> None:
    """Keep the manifest or record of a snapshot here, so that it need not be fetched."""
    kept = _locate_copy(repository, snapshot)
    kept.parent.mkdir(parents=True, exist_ok=True)
    storage.replace(kept, text.encode(), 0o600)


def _locate_copy(repository: Repository, snapshot: str) -> Path:
    return repository.settings.state_directory / "records" / snapshot


def _parse_takeover(text: str) -> Takeover:
    try:
        content: dict[str, Any] = json.loads(text)
        return Takeover(**content | {"time": datetime.fromisoformat(content["time"])})
    except (ValueError, KeyError, TypeError) as error:
        raise HelperError(
            f"a record of a takeover in the repository is damaged ({error})"
        ) from error
