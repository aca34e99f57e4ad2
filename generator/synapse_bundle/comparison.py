"""Plan x disk -> what would happen to every file. Reads the bundle, writes nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from stat import S_IMODE

from . import assets
from .credentials import DIRECTORY
from .errors import SettingsError
from .manifest import Manifest
from .planning import Plan, PlannedFile


class Action(StrEnum):
    """What happens to a file; a conflict is a file that somebody edited by hand."""

    CREATE = "create"
    UPDATE = "update"
    IDENTICAL = "identical"
    REMOVE = "remove"
    CONFLICT = "conflict"


@dataclass(frozen=True, kw_only=True)
class Change:
    """One file's fate; `planned` is None for a file that goes away."""

    path: PurePosixPath
    action: Action
    planned: PlannedFile | None = None


def compare(plan: Plan, bundle: Path, manifest: Manifest | None, *, force: bool) -> list[Change]:
    """Return every file's fate, in the order of the plan, removals last.

    Raises SettingsError where the plan does not belong to this bundle or would leave it.
    """
    if manifest and manifest.server_name != plan.server_name:
        raise SettingsError(
            f"server_name cannot change from {manifest.server_name!r} to {plan.server_name!r}:"
            " every user, room and event carries it for good.",
            [f"For another server: {assets.spell('generate', 'other-bundle')}"],
        )
    refuse_escapes(plan, bundle)
    changes = [judge(planned, bundle, manifest, force=force) for planned in plan.files]
    return changes + list(find_stale(plan, bundle, manifest, force=force))


def refuse_escapes(plan: Plan, bundle: Path) -> None:
    """Raise SettingsError where a link or a directory stands in the way of a planned file."""
    root = bundle.resolve()
    astray = [
        f"{planned.path}: is a directory or leads out of the bundle; move it away"
        for planned in plan.files
        if (bundle / planned.path).is_dir()
        or not (bundle / planned.path).resolve().is_relative_to(root)
    ]
    if astray:
        raise SettingsError(f"{bundle} cannot be written; nothing was changed.", astray)


def judge(planned: PlannedFile, bundle: Path, manifest: Manifest | None, *, force: bool) -> Change:
    """Return the fate of one planned file."""
    path = bundle / planned.path
    if not path.exists():
        action = Action.CREATE
    elif planned.kept:
        same = S_IMODE(path.stat().st_mode) == planned.mode or not is_secret(planned.path)
        action = Action.IDENTICAL if same else Action.UPDATE
    elif (current := path.read_bytes()) == planned.content:
        same = S_IMODE(path.stat().st_mode) == planned.mode
        action = Action.IDENTICAL if same else Action.UPDATE
    elif force or (manifest and manifest.owns(str(planned.path), current)):
        action = Action.UPDATE
    else:
        action = Action.CONFLICT
    return Change(path=planned.path, action=action, planned=planned)


def find_stale(
    plan: Plan, bundle: Path, manifest: Manifest | None, *, force: bool
) -> Iterator[Change]:
    """Yield the files that an earlier run wrote and this plan does not have."""
    wanted = {str(planned.path) for planned in plan.files}
    for name in sorted(set(manifest.files if manifest else ()) - wanted):
        path = bundle / name
        if path.is_file():
            ours = manifest and manifest.owns(name, path.read_bytes())
            action = Action.REMOVE if ours or force else Action.CONFLICT
            yield Change(path=PurePosixPath(name), action=action)


def is_secret(path: PurePosixPath) -> bool:
    """Tell whether a file's content must never be shown."""
    return path.parts[0] == DIRECTORY


def show_differences(changes: Iterable[Change], bundle: Path) -> Iterator[str]:
    """Yield unified diffs of the files that would change; secrets are named, never shown."""
    for change in changes:
        if change.action is Action.IDENTICAL:
            continue
        if is_secret(change.path):
            yield f"{change.path}: secret, not shown\n"
            continue
        path = bundle / change.path
        old = path.read_bytes() if path.is_file() else b""
        new = change.planned.content if change.planned else b""
        yield from difflib.unified_diff(
            old.decode(errors="replace").splitlines(keepends=True),
            new.decode(errors="replace").splitlines(keepends=True),
            f"{bundle.name}/{change.path}",
            f"new/{change.path}",
        )
