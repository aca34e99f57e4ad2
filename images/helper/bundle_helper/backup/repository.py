"""The repository: snapshots are listed, made, read, restored, deleted, checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .progress import Report, ignore_progress
from .repository_errors import RepositoryError
from .restic import Producer, Restic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ..settings.backup_settings import BackupSettings
    from .throttle import Throttle


# For the first answer of a repository, however far away it is.
_PATIENCE_SECONDS: Final = 60.0


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One snapshot of restic's."""

    id: str
    time: datetime
    tags: frozenset[str]
    paths: tuple[str, ...]
    # Bytes of all its files; None where restic noted none, as before 0.17: see `measure`.
    size: int | None


class Saved(NamedTuple):
    """A new snapshot: its id, the bytes that it holds, and those that are new in the repository."""

    snapshot: str
    size: int
    added: int


class Repository:
    """A restic repository, throttled if wanted; every method raises RepositoryError, with what to type."""

    def __init__(self, settings: BackupSettings, throttle: Throttle | None = None) -> None:
        self.settings = settings
        self._restic = Restic(settings, throttle)
        self._host = settings.server_name
        self._listed: tuple[Snapshot, ...] | None = None

    def init(self) -> str:
        """Make the repository, and return its id; RepositoryError if there is one."""
        made = str(json.loads(self._restic.ask("init", "--json"))["id"])
        self._listed = ()
        return made

    def read_id(self) -> str:
        """Return the id that the repository got when it was made; it must answer within a minute."""
        return str(
            json.loads(self._restic.ask("cat", "config", "--no-lock", patience=_PATIENCE_SECONDS))[
                "id"
            ]
        )

    def snapshots(self) -> tuple[Snapshot, ...]:
        """Return all snapshots, newest first."""
        found = json.loads(self._restic.ask("snapshots", "--json", "--no-lock")) or []
        listed = sorted(map(_build, found), key=lambda snapshot: snapshot.time, reverse=True)
        self._listed = tuple(listed)
        return self._listed

    def recall_snapshots(self) -> tuple[Snapshot, ...]:
        """Return all snapshots as this process has seen them last: restic takes half a second for each answer."""
        return self.snapshots() if self._listed is None else self._listed

    def backup_stream(
        self,
        producer: Producer,
        name: str,
        tags: Sequence[str],
        report: Report = ignore_progress,
    ) -> Saved:
        """Store the output of a program as a file called `name`; ProducerError if the program fails.

        There is a snapshot only if the program has succeeded.
        """
        return _save(
            self._restic.store_output(
                producer,
                *("backup", "--host", self._host, "--tag", ",".join(tags)),
                *("--stdin", "--stdin-filename", name),
                report=report,
            )
        )

    def backup_files(
        self,
        paths: Sequence[Path],
        tags: Sequence[str],
        excludes: Sequence[Path] = (),
        report: Report = ignore_progress,
    ) -> Saved:
        """Store files and directories; UnreadableSourceError if the snapshot lacks some of them."""
        return _save(
            self._restic.follow(
                *("backup", "--host", self._host, "--tag", ",".join(tags)),
                *(f"--exclude={_escape(path)}" for path in excludes),
                *("--", *map(str, paths)),
                report=report,
            )
        )

    def dump(self, snapshot: str, path: str, stdout: int) -> None:
        """Write one file of a snapshot to the descriptor `stdout`."""
        self._restic.write_to(stdout, "dump", snapshot, path)

    def read(self, snapshot: str, path: str) -> str:
        """Return the text of one small file of a snapshot."""
        return self._restic.ask("dump", "--no-lock", snapshot, path)

    def measure(self, snapshot: str) -> int:
        """Return the bytes of all files of a snapshot."""
        asked = ("stats", "--json", "--no-lock", "--mode=restore-size", snapshot)
        return int(json.loads(self._restic.ask(*asked))["total_size"])

    def restore(
        self,
        source: str,
        target: Path,
        *,
        include: Sequence[str] = (),
        verify: bool = True,
        report: Report = ignore_progress,
    ) -> None:
        """Write `snapshot` or `snapshot:directory` into `target`, and read back what was written."""
        self._restic.follow(
            *("restore", source, "--target", str(target)),
            *(f"--include={pattern}" for pattern in include),
            *(["--verify"] if verify else []),
            report=report,
        )

    def forget(self, ids: Iterable[str]) -> None:
        """Delete snapshots; their data stays until `prune`.

        RepositoryError too if they are still there: restic calls that a success.
        """
        chosen = set(ids)
        if not chosen:
            return
        self._restic.ask("forget", *sorted(chosen))
        if chosen & {snapshot.id for snapshot in self.snapshots()}:
            raise RepositoryError(
                f"the repository at {self.settings.repository.name} deletes nothing. If it only takes, write"
                " `append_only: true` into the block `backup` of settings.yaml, then `make generate` and"
                " `docker compose up -d`."
            )

    def prune(self) -> None:
        """Delete the data that no snapshot needs."""
        self._restic.ask("prune")

    def check(self, read_data_subset: str | None = None) -> None:
        """Check the structure, and read the data of a part such as `3/30`; RepositoryError if it is damaged."""
        subset = [f"--read-data-subset={read_data_subset}"] if read_data_subset else []
        self._restic.ask("check", *subset)

    def unlock(self) -> None:
        """Remove the locks of processes that have ended."""
        self._restic.ask("unlock")


def _build(found: dict[str, Any]) -> Snapshot:
    return Snapshot(
        id=found["id"],
        time=datetime.fromisoformat(found["time"]),
        tags=frozenset(found.get("tags") or ()),
        paths=tuple(found["paths"]),
        size=found.get("summary", {}).get("total_bytes_processed"),
    )


def _save(summary: dict[str, Any]) -> Saved:
    return Saved(
        summary["snapshot_id"], summary["total_bytes_processed"], summary["data_added_packed"]
    )


def _escape(path: Path) -> str:
    """Return a pattern that is this path alone."""
    return "".join(f"\\{letter}" if letter in "*?[\\" else letter for letter in str(path))
