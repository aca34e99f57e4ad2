"""What a person sees of an update before it begins, and of the last one."""

from __future__ import annotations

from collections.abc import Iterator

from ..comparison import Action
from ..pipeline import Preparation
from . import way_back
from .image_changes import (
    compare_running,
    name_synapse_image,
    replace_images,
    write_changes,
)
from .update import Update, read_compose
from .update_journal import Ledger, UpdateJournal


def write_plan(update: Update, prepared: Preparation, reason: str) -> Iterator[str]:
    """Yield what an update changes, how long the last one took, and where the way back leads.

    `reason` is why no set is made, if none is.
    """
    running = {each.service: each.reference for each in update.engine.list_containers()}
    present = update.engine.read_present()
    present = replace_images(present, compare_running(present, running))
    planned = update.engine.read_planned(read_compose(prepared))
    yield from write_changes(present, planned, offline=update.offline)
    counts = {a: sum(c.action is a for c in prepared.changes) for a in Action}
    changed = [f"{n} {a}" for a, n in counts.items() if n and a is not Action.IDENTICAL]
    yield f"files: {', '.join(changed) or 'all identical'}"
    yield write_downtime(update.ledger)
    old = name_synapse_image(present)
    image = update.engine.find_images([old]).get(old)
    schema = update.engine.read_schema(image) if image else None
    yield way_back.describe(
        reason=reason,
        schema=schema.newest if schema else None,
        same_synapse=update.offline and old == name_synapse_image(planned),
    )
    yield "No set is made." if reason else "A set is made first, while the server runs."


def write_downtime(ledger: Ledger) -> str:
    """Return how long the last start took, during which the server was away."""
    if ledger.seconds is None:
        return "It has not been measured yet how long an update takes the server away."
    return f"The last update took the server away for {ledger.seconds:.0f} s at most."


def write_return(last: UpdateJournal) -> Iterator[str]:
    """Yield what taking back an update means that has stood."""
    yield f"This takes back the update of {last.began:%Y-%m-%d %H:%M} UTC: its files and images."
    if last.set_name:
        yield (
            f"If the old Synapse cannot read the database any more, that is restored from the set"
            f" {last.set_name}: everything since then is lost."
        )
