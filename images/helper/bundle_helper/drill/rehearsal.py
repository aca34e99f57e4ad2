"""The restore of a full drill: into volumes of its own, beside the server that runs.

It is a restore but for what others would see: the id in the folder stays, nobody is told of a takeover,
and the repository is only read.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..backup.restic import Restic
from ..database import instance
from ..errors import HelperError
from ..restore import checks, restoration, staging
from ..restore.loading import connect_to_data, gather_statistics
from .expectation import LARGEST, Expectation
from .key_comparison import list_key_faults
from .media_sample import choose_media

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ..backup.progress import Progress
    from ..restore.restoration import Restoration
    from ..settings.backup_settings import BackupSettings


def rehearse(
    settings: BackupSettings,
    drill_file: Path,
    name: str | None,
    tell: Progress,
    now: Callable[[], datetime],
) -> None:
    """Restore the set called `name`, or the newest, for a drill; HelperError if it cannot be.

    What the restored server must hold is written into `drill_file`.
    """
    with restoration.prepare(settings, name, tell) as prepared:
        run = replace(prepared, record=replace(prepared.record, id=_read_id(settings)))
        _require_key(run)
        _require_folder(run)
        with staging.stage(run) as staged:
            instance.write_record(run.superuser, run.database.database_name, run.record)
            gather_statistics(staged.database)
            restoration.cure(staged, now())
            staging.take_place(run, staged)
        with connect_to_data(run.database) as connection:
            sample = choose_media(connection, LARGEST)
        Expectation(set=run.manifest.set, media=tuple(sample)).write(drill_file)
        restoration.open_database(run)
        tell(f"restored the set {run.manifest.set} beside the server")


def _read_id(settings: BackupSettings) -> str:
    """Return the id of the folder, which Synapse's database gets too."""
    if found := instance.read_folder(settings.database):
        return found
    raise HelperError(
        "the server of this folder was never started, so there is nothing to drill for. Start it with"
        " `docker compose up -d`, or restore it with `docker compose run --rm restore`."
    )


def _require_key(run: Restoration) -> None:
    if faults := list_key_faults(run.repository, run.chosen):
        raise HelperError(
            f"the set {run.manifest.set} would become another server: {faults[0]}. Nothing was"
            " restored. Put the right signing key back into secrets/, make a new set with"
            " `docker compose run --rm backup now`, then drill again."
        )


def _require_folder(run: Restoration) -> None:
    """Read the whole folder in the set: it is what a machine begins with that has the card alone."""
    with checks.explain_damage(), Path(os.devnull).open("wb") as nowhere:
        folder = str(run.settings.bundle_directory)
        Restic(run.settings).write_to(
            nowhere.fileno(), "dump", "--archive", "tar", run.chosen.snapshot, folder
        )
