"""Changes and undoings as text for people, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import click

from .changes import Change, Condition, Part
from .found import Access
from .removal import Undoing

COLOURS = {
    Condition.PRESENT: "green",
    Condition.MISSING: "yellow",
    Condition.CHANGED: "yellow",
    Condition.FOREIGN: "red",
    Condition.LEFT: "blue",
}


def write_access(access: Access) -> str:
    """Return one line on where all this is."""
    zones = [access.home, *([access.apex] if access.apex and access.apex != access.home else [])]
    return "; ".join(
        f"zone {zone.name} ({zone.status}, {zone.plan} plan), account {zone.account}"
        for zone in zones
    )


def write_plan(changes: Iterable[Change]) -> Iterator[str]:
    """Yield a line for everything that an apply would do, or may do with a yes."""
    for change in changes:
        if change.verb and change.part is not Part.SETTING:
            yes = f"  (needs a yes: --replace {change.part})"
            foreign = change.condition is Condition.FOREIGN
            yield f"{paint(f'{change.verb:<8}', change)} {change.text}{yes if foreign else ''}"
    for change in changes:
        if change.part is Part.SETTING and change.reading and change.verb:
            reading = change.reading
            if reading.ours:
                yield f"{paint(f'{change.verb:<8}', change)} {change.text}"
                continue
            yield f"{paint('setting ', change)} {change.text} {reading.text}"
            yield f"         --fix {reading.fix}: {reading.cure}"


def write_notes(notes: Iterable[str]) -> Iterator[str]:
    """Yield a line for every note."""
    for note in notes:
        yield f"note     {note}"


def write_undoings(undoings: Iterable[Undoing]) -> Iterator[str]:
    """Yield a line for everything that a destroy does or leaves."""
    for undoing in undoings:
        yield f"{undoing.verb:<8} {undoing.text}"


def count(changes: Iterable[Change]) -> str:
    """Return how much there is to do, and how."""
    number = sum(bool(change.verb) and change.part is not Part.SETTING for change in changes)
    if not number:
        return "nothing to do"
    many = f"{number} changes; to make them" if number > 1 else "1 change; to make it"
    return f"{many}: synapse-bundle cloudflare apply"


def write_status(changes: Iterable[Change]) -> Iterator[str]:
    """Yield a table of everything and how it stands."""
    for change in changes:
        condition = describe(change)
        shown = click.style(f"{condition:<9}", fg=COLOURS[change.condition])
        why = change.reading.text if change.reading else ""
        yield f"{change.part:<12} {shown} {change.text} {why}".rstrip()


def describe(change: Change) -> str:
    """Return how a thing stands; a setting is fine or not."""
    if change.part is Part.SETTING and not (change.reading and change.reading.ours):
        return "fine" if change.condition is Condition.PRESENT else "harmful"
    return str(change.condition)


def write_json(
    access: Access, identity: str, changes: Iterable[Change], notes: Iterable[str]
) -> str:
    """Return everything for machines."""
    document = {
        "id": identity,
        "zone": access.home.name,
        "account": access.home.account,
        "things": [
            {
                "thing": change.part,
                "condition": describe(change),
                "text": change.text,
                "change": change.verb or None,
                "fix": change.reading.fix if change.reading else None,
            }
            for change in changes
        ],
        "notes": list(notes),
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def paint(text: str, change: Change) -> str:
    """Return a text in the colour of a change."""
    return click.style(text, fg=COLOURS[change.condition])
