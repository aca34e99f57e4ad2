"""A plan, a status and removals as text for people, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

import click

from .access import Access
from .changes import Condition, ResourceChange
from .removal import Removal

_COLORS: Final = {
    Condition.PRESENT: "green",
    Condition.MISSING: "yellow",
    Condition.CHANGED: "yellow",
    Condition.FOREIGN: "red",
    Condition.LEFT: "blue",
}


def write_access(access: Access) -> str:
    """Return one line on the zones and their accounts."""
    return "; ".join(
        f"zone {zone.name} ({zone.status}, {zone.plan} plan), account {zone.account}"
        for zone in access.zones
    )


def write_plan(changes: Iterable[ResourceChange]) -> Iterator[str]:
    """Yield a line for everything that an apply would do, or could with an approval."""
    pending = [change for change in changes if change.verb]
    for change in pending:
        if not change.fix:
            foreign = change.condition is Condition.FOREIGN
            required = f"  (requires --replace {change.resource})" if foreign else ""
            yield f"{_paint(f'{change.verb:<8}', change)} {change.text}{required}"
    for change in pending:
        if change.fix and change.fix.approved:
            yield f"{_paint(f'{change.verb:<8}', change)} {change.text}"
        elif change.fix:
            yield f"{_paint('setting ', change)} {change.text} {change.fix.harm}"
            yield f"         --fix {change.fix.name}: {change.fix.cure}"


def write_notes(notes: Iterable[str]) -> Iterator[str]:
    """Yield a line for every note."""
    for note in notes:
        yield f"note     {note}"


def write_obstacles(obstacles: Iterable[str]) -> Iterator[str]:
    """Yield a line for everything that stops an apply."""
    for obstacle in obstacles:
        yield f"{click.style('error   ', fg='red')} {obstacle}"


def write_removals(removals: Iterable[Removal]) -> Iterator[str]:
    """Yield a line for everything that a destroy removes or leaves."""
    for removal in removals:
        yield f"{removal.action:<8} {removal.text}"


def write_count(changes: Iterable[ResourceChange]) -> str:
    """Return how much there is to do, and how."""
    number = sum(bool(change.verb) and not change.fix for change in changes)
    if not number:
        return "nothing to do"
    many = f"{number} changes; to apply them" if number > 1 else "1 change; to apply it"
    return f"{many}: synapse-bundle cloudflare apply"


def write_status(changes: Iterable[ResourceChange]) -> Iterator[str]:
    """Yield a table of every resource and its condition."""
    for change in changes:
        condition = click.style(f"{_name_condition(change):<9}", fg=_COLORS[change.condition])
        harm = change.fix.harm if change.fix else ""
        yield f"{change.resource:<12} {condition} {change.text} {harm}".rstrip()


def _name_condition(change: ResourceChange) -> str:
    """Return a resource's condition; a setting is fine or harmful."""
    if change.fix and not change.fix.approved:
        return "fine" if change.condition is Condition.PRESENT else "harmful"
    return str(change.condition)


def write_json(
    access: Access, identity: str, changes: Iterable[ResourceChange], notes: Iterable[str]
) -> str:
    """Return everything as JSON."""
    document = {
        "id": identity,
        "zone": access.home.name,
        "account": access.home.account,
        "things": [
            {
                "thing": change.resource,
                "condition": _name_condition(change),
                "text": change.text,
                "change": change.verb or None,
                "fix": change.fix.name if change.fix else None,
            }
            for change in changes
        ],
        "notes": list(notes),
    }
    return json.dumps(document, indent=1, ensure_ascii=False)


def _paint(text: str, change: ResourceChange) -> str:
    """Return a text in the color of a change."""
    return click.style(text, fg=_COLORS[change.condition])
