"""The way forward, step by step. Each may be done again, so an update that was cut off is repeated whole."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .. import pipeline
from ..errors import BundleError, SettingsError
from . import image_supply, kept_images, old_files, proof, returning, synapse_log, way_back
from .image_changes import (
    compare_running,
    list_needs,
    list_synapse,
    name_synapse_image,
    replace_images,
)
from .update import Update
from .update_journal import Generation, UpdateJournal


class UpdateStep(NamedTuple):
    """One step: what it says that it does, and the function."""

    title: str
    carry_out: Callable[[Update], None]


def list_steps(update: Update) -> Iterator[UpdateStep]:
    """Yield the steps that follow when the journal is on disk."""
    yield UpdateStep("keep the present images", _keep)
    yield UpdateStep("write the new files", _write)
    if update.offline:
        yield UpdateStep("look for the images on this machine", image_supply.require_images)
    else:
        yield UpdateStep("pull images", image_supply.pull)
        yield UpdateStep("build the own images anew", image_supply.build)
    yield UpdateStep("see where the way back leads", _judge)
    yield UpdateStep("start", _start)
    yield UpdateStep("check", proof.prove)
    yield UpdateStep("keep the update", _finish)


def begin(update: Update, set_name: str | None) -> UpdateJournal:
    """Return the journal of a new update; nothing is written."""
    prepared, engine = update.prepare(), update.engine
    present, containers = engine.read_present(), engine.list_containers()
    replaced = compare_running(present, {each.service: each.reference for each in containers})
    present = replace_images(present, replaced)
    needs = list_needs(present)
    # What runs counts, not what its name means by now.
    running = {each.reference: each.image for each in containers}
    found = engine.find_images(needs.references)
    old = {**found, **{name: running[name] for name in needs.references if name in running}}
    synapse = old.get(name_synapse_image(present))
    schema = engine.read_schema(synapse) if synapse else None
    rows, log = engine.check(), engine.read_recent_log(list_synapse(present))
    return UpdateJournal(
        began=update.now(),
        images=old,
        files=old_files.name_running(
            update.bundle, old_files.read(update.bundle, prepared), replaced
        ),
        set_name=set_name,
        schema=schema.newest if schema else None,
        held=None if rows is None else tuple(name for name, fault in rows.items() if not fault),
        tracebacks=tuple(sorted(synapse_log.list_tracebacks(log))),
    )


def perform(update: Update) -> bool:
    """Take every step; if one fails go back, and return whether the update stands.

    BundleError where the way back fails as well.
    """
    for step in list_steps(update):
        update.report(f"{step.title} ...")
        try:
            step.carry_out(update)
        except (BundleError, SettingsError) as error:
            update.report(f"Error: {error.message}")
            update.note(reason=error.message)
            returning.perform(update)
            return False
    return True


def _keep(update: Update) -> None:
    project = update.settings.project
    for image in sorted(set(update.journal.images.values())):
        update.engine.name_image(image, kept_images.name_kept(project, image))


def _write(update: Update) -> None:
    prepared = update.prepare()
    # After a run that was cut off others may have to be changed than then, by another version.
    files = {**old_files.read(update.bundle, prepared), **update.journal.files}
    update.note(files=files)
    pipeline.carry_out(prepared, update.bundle)


def _judge(update: Update) -> None:
    """Say whether there is a way back, now that the new image is here; ask where there is none."""
    journal, engine = update.journal, update.engine
    reference = name_synapse_image(engine.read_present())
    image = engine.find_images([reference]).get(reference)
    if image in journal.images.values():
        return
    coming = engine.read_schema(image) if image else None
    update.report(way_back.foretell(journal.schema, coming, journal.set_name))
    compatible = coming.compatible if coming else None
    no_way = way_back.needs_data(journal.schema, compatible) and not journal.set_name
    if no_way and not (
        update.one_way or update.ask("There is no way back. Start it all the same?")
    ):
        raise BundleError(
            "The new Synapse changes the database so that the old one cannot read it, and there is no"
            " set to restore. Back up the database where it runs, then update with --one-way"
        )


def _start(update: Update) -> None:
    if update.attempt:
        update.settle(tried=update.attempt)
    # A run that was cut off here has started it already.
    update.note(started=update.journal.started or update.now())
    before = update.now()
    update.engine.start()
    seconds = (update.now() - before).total_seconds()
    update.note(seconds=max(seconds, update.journal.seconds or 0.0))


def _finish(update: Update) -> None:
    journal, ledger, now = update.journal, update.ledger, update.now()
    old = Generation(images=journal.images, began=ledger.stood, ended=now)
    update.settle(
        underway=None,
        last=journal,
        stood=now,
        seconds=journal.seconds,
        generations=(*ledger.generations, old),
    )
    # It stands; what cannot be removed now is removed by the next one.
    with contextlib.suppress(BundleError):
        references = list_needs(update.engine.read_present()).references
        named = update.engine.find_images(references).values()
        kept_images.remove_brought(journal, update.engine, named)
        tidy(update)


def tidy(update: Update) -> None:
    """Remove the images of earlier updates that are not needed any more, and note it."""
    present = list_needs(update.engine.read_present()).references
    project, now = update.settings.project, update.now()
    tidied = kept_images.tidy(update.ledger, update.engine, project, present, now)
    if tidied != update.ledger:
        update.settle(generations=tidied.generations, last=tidied.last)
