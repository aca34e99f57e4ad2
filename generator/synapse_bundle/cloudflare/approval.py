"""The operator's approval: of foreign resources, of fixes for the whole zone, of all changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

import click

from ..errors import BundleError, SettingsError
from .changes import Condition, ResourceChange
from .kinds.registry import LEAVABLE
from .state import CloudflareState

ALL: Final = "all"
_ABORTED: Final = "Aborted; nothing was changed."


@dataclass(kw_only=True)
class Approval:
    """What the operator has approved; `interactive` is whether there is a terminal to ask at."""

    replacing: set[str] = field(default_factory=set)
    leaving: set[str] = field(default_factory=set)
    fixing: set[str] = field(default_factory=set)
    interactive: bool = False
    yes: bool = False

    def covers(self, change: ResourceChange) -> bool:
        """Return whether a change may be applied."""
        if change.fix:
            return change.fix.approved or bool(self.fixing & {change.fix.name, ALL})
        return change.condition is not Condition.FOREIGN or change.resource in self.replacing

    def settle(self, state: CloudflareState) -> CloudflareState:
        """Return the state with the resources to leave, as far as that is decided."""
        kept = (set(state.left) | self.leaving) - self.replacing
        return replace(state, left=tuple(sorted(kept)))

    def ask(self, changes: Iterable[ResourceChange]) -> None:
        """Ask about each foreign resource and each fix.

        Raises SettingsError that lists the resources if there is no terminal, BundleError if one is
        denied that the bundle cannot do without.
        """
        open_changes = [c for c in changes if c.verb and not self.covers(c)]
        foreign = [change for change in open_changes if not change.fix]
        if foreign and not self.interactive:
            raise SettingsError(
                "This bundle did not create what is there already; nothing was changed.",
                [_write_options(change) for change in foreign],
            )
        for change in foreign:
            self._ask_replace(change)
        for change in open_changes if self.interactive else ():
            if change.fix and click.confirm(
                f"\n{change.text} {change.fix.harm}.\nShall I {change.fix.cure}?"
            ):
                self.fixing.add(change.fix.name)

    def _ask_replace(self, change: ResourceChange) -> None:
        if change.depends_on in self.leaving:
            return
        if click.confirm(f"\n{change.text}.\n{change.verb.capitalize()} it?"):
            self.replacing.add(change.resource)
        elif change.resource in LEAVABLE:
            self.leaving.add(change.resource)
        else:
            raise BundleError(_ABORTED)

    def confirm(self, question: str) -> None:
        """Ask at last; raises SettingsError if there is no terminal, BundleError if denied."""
        if self.yes:
            return
        if not self.interactive:
            raise SettingsError(
                "There is no terminal to ask for confirmation at; nothing was changed. Pass --yes."
            )
        if not click.confirm(f"\n{question}"):
            raise BundleError(_ABORTED)


def _write_options(change: ResourceChange) -> str:
    """Return a foreign resource, and the options that decide about it."""
    leave = f" or --leave {change.resource}" if change.resource in LEAVABLE else ""
    return f"{change.verb} {change.text}: requires --replace {change.resource}{leave}"
