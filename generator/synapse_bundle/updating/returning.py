"""The way back, step by step; each may be done again. The old files and images return, and if need be data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from .. import topology
from ..database_place import runs_database
from ..errors import BundleError
from . import kept_images, old_files, proof, way_back
from .image_changes import list_needs, list_synapse
from .update import Update


class ReturnStep(NamedTuple):
    """One step of the way back: what it says that it does, and the function."""

    title: str
    carry_out: Callable[[Update], None]


def list_steps(update: Update) -> Iterator[ReturnStep]:
    """Yield the steps back; before new containers were started there is none to replace."""
    yield ReturnStep("put the old files back", _put_files_back)
    yield ReturnStep("give the old images their names back", _name_images)
    if update.journal.started:
        yield ReturnStep("see whether the old Synapse reads the database", _judge_data)
        yield ReturnStep("start the old images", _start)
        yield ReturnStep("check", _check)
    yield ReturnStep("remove what the update brought", _finish)


def perform(update: Update) -> None:
    """Take every step back. BundleError with what to type where one fails."""
    started = update.journal.started
    for step in list_steps(update):
        update.report(f"back: {step.title} ...")
        try:
            step.carry_out(update)
        except BundleError as error:
            raise BundleError(
                f"{error.message}\nThe way back is not finished. To go on with it: synapse-bundle update"
            ) from error
    if not started:
        update.report("The server was not touched; files and images are as they were.")


def _put_files_back(update: Update) -> None:
    old_files.write(update.bundle, update.journal.files)


def _name_images(update: Update) -> None:
    for reference, image in update.journal.images.items():
        try:
            update.engine.name_image(image, reference)
        except BundleError as error:
            # Somebody has removed it: what has its name is the nearest to it.
            update.report(f"note: {reference} cannot be what it was: {error.message}")


def _judge_data(update: Update) -> None:
    """Restore the database of the set where the old Synapse refuses the one that is there.

    While that is not finished the journal says so, because then the database cannot be asked.
    """
    if update.journal.data == "untouched" and runs_database(update.bundle):
        update.engine.start(topology.POSTGRES.host)
        compatible = update.engine.read_compatible(topology.POSTGRES.database)
        if way_back.needs_data(update.journal.schema, compatible):
            update.note(data="wanted")
    if update.journal.data == "wanted":
        _restore(update)


def _restore(update: Update) -> None:
    set_name = update.journal.set_name
    if set_name is None:
        raise BundleError(
            "The new Synapse has changed the database so that the old one cannot read it, and there is no"
            " set. Restore the database from a backup of your own, or start the new version again:"
            " synapse-bundle up"
        )
    update.report(
        f"The old Synapse cannot read the database: it is restored from the set {set_name}."
    )
    update.engine.stop(list_synapse(update.engine.read_present()))
    update.engine.restore_database(set_name)
    update.note(data="restored")
    update.report(f"LOST: what was sent, read or changed since the set {set_name} was made.")


def _start(update: Update) -> None:
    update.engine.start()


def _check(update: Update) -> None:
    """Say what the check finds; there is nowhere else to go."""
    rows = update.engine.check()
    broken = proof.find_broken(rows, update.journal)
    for name, detail in (rows or broken).items():
        if detail:
            known = "" if name in broken else " (as before the update)"
            update.report(f"FAILED  {name}: {detail}{known}")


def _finish(update: Update) -> None:
    journal, engine = update.journal, update.engine
    references = list_needs(engine.read_present()).references
    kept_images.remove_brought(journal, engine, engine.find_images(references).values())
    left = kept_images.forget(update.ledger, journal, engine, update.settings.project)
    update.settle(**vars(left))
