"""One destroy of everything a bundle has at Cloudflare: planned, shown by its caller, carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..errors import BundleError
from . import destroy, local_secrets, output, permissions
from . import state as state_file
from .kinds.registry import require_entry
from .removal import Removal, RemovalAction, RemovalContext
from .session import Session


@dataclass(frozen=True, kw_only=True)
class DestroyRun:
    """What is to be removed, in order, and with what."""

    bundle: Path
    context: RemovalContext
    planned: list[Removal]

    def write_plan(self) -> Iterator[str]:
        """Yield a line for everything that is removed or left."""
        yield from output.write_removals(self.planned)

    def carry_out(self, report: Callable[[str], None]) -> None:
        """Remove everything, and forget the state; BundleError if something had to be skipped."""
        skipped = 0
        save = partial(state_file.write, self.bundle)
        for removal in destroy.destroy(self.context, self.planned, save):
            for line in output.write_removals([removal]):
                report(line)
            skipped += removal.action is RemovalAction.SKIP
        if skipped:
            raise BundleError(
                f"{skipped} skipped, for the reason above; everything else is removed. Fix that and"
                " run the command again"
            )
        state_file.delete(self.bundle)


def has_anything(bundle: Path) -> bool:
    """Return whether a bundle has anything at Cloudflare; SettingsError if that cannot be known."""
    return state_file.read(bundle, require_entry) is not None


def open_run(bundle: Path, api_token: str, report: Callable[[str], None]) -> DestroyRun:
    """Plan a destroy as things are now; whoever calls it holds the bundle's lock.

    `report` is told when it waits. SettingsError if the token may not, BundleError if it would break what is not this bundle's.
    """
    session = Session(api_token, report=report)
    # Another run may have changed it until the lock was held.
    state = state_file.read(bundle, require_entry) or state_file.create("")
    permissions.require(session, destroy.list_permissions(state))
    token = local_secrets.read(bundle).token
    context = RemovalContext(session=session, state=state, token=token)
    return DestroyRun(bundle=bundle, context=context, planned=destroy.plan_removals(context))
