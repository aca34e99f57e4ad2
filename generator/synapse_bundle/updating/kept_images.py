"""Which images of earlier updates are kept, and which go: only what a journal has recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from .update_engine import UpdateEngine
from .update_journal import Generation, Ledger, UpdateJournal

_PROVEN: Final = timedelta(days=7)


def name_kept(project: str, image: str) -> str:
    """Return the name that keeps an image from the engine's own cleaning."""
    return f"synapse-bundle/kept-{project}:{image.rpartition(':')[2][:12]}"


def choose_superfluous(ledger: Ledger, now: datetime) -> list[Generation]:
    """Return the generations of images to remove, of those that are kept, the oldest first.

    When the present images have stood for a week, all of them. Before that the last one stays, and
    the newest that itself had stood for a week: so there are never more than two.
    """
    kept = ledger.generations
    if ledger.stood is not None and now - ledger.stood >= _PROVEN:
        return list(kept)
    proven = [each for each in kept if each.began is None or each.ended - each.began >= _PROVEN]
    stay = [*kept[-1:], *proven[-1:]]
    return [each for each in kept if each not in stay]


def tidy(
    ledger: Ledger, engine: UpdateEngine, project: str, present: Iterable[str], now: datetime
) -> Ledger:
    """Remove the images that are not needed, and return the ledger without them.

    `present` are the references that the bundle uses; what a container uses stays, for the next time.
    """
    superfluous, present = choose_superfluous(ledger, now), set(present)
    if not superfluous:
        return ledger
    staying = [each for each in ledger.generations if each not in superfluous]
    needed = {image for each in staying for image in each.images.values()}
    left = [
        replace(each, images=remaining)
        for each in superfluous
        if (remaining := _remove(each.images, engine, project, present, needed))
    ]
    last = ledger.last if staying else None
    return replace(ledger, generations=(*left, *staying), last=last)


def _remove(
    images: Mapping[str, str],
    engine: UpdateEngine,
    project: str,
    present: set[str],
    needed: set[str],
) -> dict[str, str]:
    """Remove images under both of their names; return those of which one is still there."""
    here = engine.find_images(images)
    remaining = {}
    for reference, image in images.items():
        gone = image in needed or engine.remove_image(name_kept(project, image))
        if here.get(reference) == image and reference not in present:
            gone = engine.remove_image(reference) and gone
        if not gone:
            remaining[reference] = image
    return remaining


def remove_brought(journal: UpdateJournal, engine: UpdateEngine, named: Iterable[str]) -> None:
    """Remove the images that an update has brought and that the bundle does not use.

    `named` are the ids of those that it uses.
    """
    for image in sorted(set(journal.pulled) - set(named) - set(journal.images.values())):
        engine.remove_image(image)


def forget(ledger: Ledger, journal: UpdateJournal, engine: UpdateEngine, project: str) -> Ledger:
    """Return the ledger without an update that was taken back, whose old images run again."""
    staying, last, stood = ledger.generations, ledger.last, ledger.stood
    if last is not None and last.began == journal.began and staying:
        # It had stood, so its images are the last ones that were kept.
        last, stood, staying = None, staying[-1].began, staying[:-1]
    needed = {image for each in staying for image in each.images.values()}
    for image in sorted(set(journal.images.values()) - needed):
        engine.remove_image(name_kept(project, image))
    return replace(ledger, underway=None, last=last, generations=staying, stood=stood)
