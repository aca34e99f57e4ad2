"""A restored server beside the one that is here, until all of it has been proved.

The database has a name of its own, and the files have a directory of their own in Synapse's volume. They get
Synapse's names at the end, so until then nothing is changed. What a killed restore left of them the next one deletes.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from ..database.catalog import read_role
from ..errors import HelperError
from . import checks, loading, media

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .restoration import Restoration


@contextlib.contextmanager
def stage(run: Restoration) -> Iterator[Restoration]:
    """Yield the restore with its database under another name, when all of it is loaded and proved.

    HelperError if the set is not what was saved, or cannot be read; then nothing is left.
    """
    staged = replace(run, settings=run.settings.staged)
    role = run.database.database_role
    is_new = read_role(run.superuser, role) is None
    _discard(staged)
    if run.interrupted:
        loading.drop_database(run.superuser, run.database)
        with media.explain_errors(run.settings.media_directory):
            media.empty_directory(run.settings.media_directory)
    try:
        with checks.explain_damage():
            _fill(staged)
    except BaseException:
        # The first reason is what counts; the next restore deletes what is left.
        with contextlib.suppress(psycopg.Error, HelperError):
            _discard(staged)
            if is_new:
                run.superuser.execute(
                    sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role))
                )
        raise
    yield staged


def take_place(run: Restoration, staged: Restoration) -> None:
    """Give the restored database and files Synapse's names; HelperError if a file cannot take its place."""
    loading.drop_database(run.superuser, run.database)
    run.superuser.execute(
        sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
            sql.Identifier(staged.database.database_name),
            sql.Identifier(run.database.database_name),
        )
    )
    media.take_place(run.settings)


def _fill(run: Restoration) -> None:
    manifest = run.manifest
    run.tell(f"loading the set {manifest.set} of {manifest.time:%Y-%m-%d %H:%M} UTC")
    # Not at once: the memory of each restic grows with the repository.
    with media.restoring(run.repository, run.chosen, run.tell.follow("files")) as restore_files:

        def go_on() -> None:
            run.tell("making indexes, comparing every table with the set, and restoring the files")
            restore_files()

        loading.create_empty(run.superuser, run.database)
        report = run.tell.follow("database")
        differences = loading.load_and_prove(run.settings, run.repository, manifest, report, go_on)
        loading.require_equal(differences, "Nothing was changed.")


def _discard(staged: Restoration) -> None:
    loading.drop_database(staged.superuser, staged.database)
    directory = staged.settings.staging_directory
    with media.explain_errors(directory):
        if directory.exists():
            shutil.rmtree(directory)
