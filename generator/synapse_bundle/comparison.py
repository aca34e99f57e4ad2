"""A plan and the disk -> what would happen to every file. Reads the bundle, writes nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from stat import S_IMODE, S_ISDIR, S_ISLNK, S_ISREG

from . import assets, directory_modes, versions
from .credentials.file_names import DIRECTORY
from .errors import SettingsError
from .manifest import Manifest
from .planning import Plan, PlannedFile


class Action(StrEnum):
    """What happens to a file; a conflict is one that was edited by hand."""

    CREATE = "create"
    UPDATE = "update"
    IDENTICAL = "identical"
    REMOVE = "remove"
    CONFLICT = "conflict"


@dataclass(frozen=True, kw_only=True)
class FileChange:
    """What happens to one file; `planned` is None for a removal.

    A directory is listed only where its mode changes, to `directory_mode`.
    """

    path: PurePosixPath
    action: Action
    planned: PlannedFile | None = None
    directory_mode: int | None = None

    def __str__(self) -> str:
        """Show as the path in the bundle, a directory with its new mode."""
        if self.directory_mode is None:
            return str(self.path)
        return f"{self.path}/ (mode {self.directory_mode:04o})"


def compare(
    plan: Plan, bundle: Path, manifest: Manifest | None, *, force: bool
) -> list[FileChange]:
    """Return what happens to every file, in the order of the plan, removals last.

    Raises SettingsError where the plan does not belong to this bundle or would leave it.
    """
    if manifest:
        _refuse_another(plan, manifest)
        versions.refuse(plan, bundle, manifest, force=force)
    known = manifest.files if manifest else {}
    _refuse_escapes(dict.fromkeys([*(str(planned.path) for planned in plan.files), *known]), bundle)
    owners = directory_modes.list_owners(bundle)
    wrong = directory_modes.find_wrong((planned.path for planned in plan.files), bundle, owners)
    return [
        *(
            FileChange(path=p, action=Action.UPDATE, directory_mode=mode)
            for p, mode in wrong.items()
        ),
        *(_judge(planned, bundle, manifest, owners, force=force) for planned in plan.files),
        *_find_stale(plan, bundle, manifest, force=force),
    ]


def _refuse_another(plan: Plan, manifest: Manifest) -> None:
    """Raise SettingsError where a bundle would become another server, or start without its data."""
    another = f"For another server: {assets.spell('generate', 'other-bundle')}"
    if manifest.server_name != plan.server_name:
        raise SettingsError(
            f"server_name cannot change from {manifest.server_name!r} to {plan.server_name!r}:"
            " every user, room and event contains it.",
            [another],
        )
    if manifest.project not in {"", plan.project}:
        raise SettingsError(
            f"project cannot change from {manifest.project!r} to {plan.project!r}: Docker keeps"
            " accounts, rooms and files in volumes of that name, and the server would start empty.",
            [f"For this server, write `project: {manifest.project}`.", another],
        )


def _refuse_escapes(names: Iterable[str], bundle: Path) -> None:
    """Raise SettingsError where a link, a directory or a device is in the place of a file.

    `names` are the paths of all files that a run may replace, remove or read.
    """
    root = bundle.resolve()
    parents = {(bundle / name).parent for name in names}
    outside = {parent for parent in parents if not parent.resolve().is_relative_to(root)}
    astray = [
        f"{name}: {fault}; move it away"
        for name in names
        if (fault := _find_obstacle(bundle / name, root, outside))
    ]
    if astray:
        raise SettingsError(f"{bundle} cannot be written; nothing was changed.", astray)


def _find_obstacle(path: Path, root: Path, outside: set[Path]) -> str:
    """Return what keeps a path from being a file of the bundle, or an empty string."""
    if path.parent in outside:
        return "leads out of the bundle"
    try:
        mode = path.lstat().st_mode
        if S_ISLNK(mode):
            if not path.resolve().is_relative_to(root):
                return "leads out of the bundle"
            mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if S_ISDIR(mode):
        return "is a directory"
    return "" if S_ISREG(mode) else "is neither a file nor a directory"


def _judge(
    planned: PlannedFile, bundle: Path, manifest: Manifest | None, owners: set[int], *, force: bool
) -> FileChange:
    """Return what happens to one planned file."""
    path = bundle / planned.path
    if not path.exists():
        action = Action.CREATE
    elif planned.kept and not (planned.renewed and path.read_bytes() != planned.content):
        same = not _is_secret(planned.path) or _is_sound(path, planned.mode, owners)
        action = Action.IDENTICAL if same else Action.UPDATE
    elif (current := path.read_bytes()) == planned.content:
        same = _is_sound(path, planned.mode, owners)
        action = Action.IDENTICAL if same else Action.UPDATE
    elif force or planned.renewed or (manifest and manifest.owns(str(planned.path), current)):
        action = Action.UPDATE
    else:
        action = Action.CONFLICT
    return FileChange(path=planned.path, action=action, planned=planned)


def _is_sound(path: Path, mode: int, owners: set[int]) -> bool:
    """Return whether a file is what a run writes: not a link, with this mode and an allowed owner."""
    found = path.lstat()
    return S_ISREG(found.st_mode) and S_IMODE(found.st_mode) == mode and found.st_uid in owners


def _find_stale(
    plan: Plan, bundle: Path, manifest: Manifest | None, *, force: bool
) -> Iterator[FileChange]:
    """Yield the files that an earlier run wrote and this plan does not have."""
    wanted = {str(planned.path) for planned in plan.files}
    for name in sorted(set(manifest.files if manifest else ()) - wanted):
        path = bundle / name
        if path.is_file():
            ours = manifest and manifest.owns(name, path.read_bytes())
            action = Action.REMOVE if ours or force else Action.CONFLICT
            yield FileChange(path=PurePosixPath(name), action=action)


def _is_secret(path: PurePosixPath) -> bool:
    """Return whether a file's content must never be shown."""
    return path.parts[0] == DIRECTORY


def show_differences(changes: Iterable[FileChange], bundle: Path) -> Iterator[str]:
    """Yield unified diffs of the files that would change; secrets are named, never shown."""
    for change in changes:
        if change.action is Action.IDENTICAL or change.directory_mode is not None:
            continue
        if _is_secret(change.path):
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
