"""The operator's yes: for what is in the way, for settings of the whole zone, for the changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import click

from ..errors import BundleError, SettingsError
from .changes import OPTIONAL, Change, Condition, Part
from .kinds import zone_settings as zone
from .state import State

REPLACEABLE = tuple(map(str, (Part.HOMESERVER, Part.APEX, Part.ROUTE, Part.CREDENTIAL)))
FIXES = (*zone.SWITCHES, zone.BROWSER_CHECKS)
ALL = "all"
REFUSED = "That was a no. Nothing was changed."


@dataclass(kw_only=True)
class Consent:
    """What the operator has said yes to, and whether there is somebody to ask."""

    replacing: set[str] = field(default_factory=set)
    leaving: set[str] = field(default_factory=set)
    fixing: set[str] = field(default_factory=set)
    asks: bool = False
    yes: bool = False

    def agrees(self, change: Change) -> bool:
        """Tell whether a change may be made."""
        if change.reading:
            return change.reading.ours or bool(self.fixing & {change.reading.fix, ALL})
        return change.condition is not Condition.FOREIGN or change.part in self.replacing

    def settle(self, state: State) -> State:
        """Return the state with what is to be left as it is, as far as that is said already."""
        kept = (set(state.left) | self.leaving) - self.replacing
        return replace(state, left=tuple(sorted(kept)))

    def ask(self, changes: Iterable[Change]) -> None:
        """Get a yes or a no for each thing in the way, and for each setting.

        Raises SettingsError that lists them all where nobody can be asked, BundleError for a no.
        """
        foreign = [c for c in changes if c.condition is Condition.FOREIGN and not self.agrees(c)]
        blocking = [c for c in foreign if c.part is not Part.SETTING]
        if blocking and not self.asks:
            raise SettingsError(
                "In the way is what this bundle did not make; nothing was changed.",
                [describe_way(change) for change in blocking],
            )
        for change in blocking:
            if change.part is Part.ROUTE and Part.APEX in self.leaving:
                continue  # without a proxied record no Worker is asked
            if click.confirm(f"\n{change.text}.\n{change.verb.capitalize()} it?"):
                self.replacing.add(change.part)
            elif change.part in OPTIONAL:
                self.leaving.add(change.part)
            else:
                raise BundleError(REFUSED)
        for change in foreign if self.asks else ():
            reading = change.reading
            if reading and click.confirm(
                f"\n{change.text} {reading.text}.\nShall I {reading.cure}?"
            ):
                self.fixing.add(reading.fix)

    def confirm(self, question: str) -> None:
        """Get the last yes; raises SettingsError where nobody can be asked, BundleError for a no."""
        if self.yes:
            return
        if not self.asks:
            raise SettingsError("Nobody is there to ask; nothing was changed. Add --yes")
        if not click.confirm(f"\n{question}"):
            raise BundleError(REFUSED)


def describe_way(change: Change) -> str:
    """Return what is in the way, and how to say yes or no to it beforehand."""
    no = f" or --leave {change.part}" if change.part in OPTIONAL else ""
    return f"{change.verb} {change.text}: --replace {change.part}{no}"
