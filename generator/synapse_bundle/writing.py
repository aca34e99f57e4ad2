"""Changes -> disk: everything is staged before anything is replaced; compose.yaml comes last."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from . import __version__, directory_modes, manifest
from .comparison import Action, FileChange
from .errors import BundleError
from .manifest import Manifest, fingerprint
from .output_directory import STAGED
from .planning import Plan, PlannedFile

_WRITTEN: Final = (Action.CREATE, Action.UPDATE)


def apply(plan: Plan, changes: list[FileChange], bundle: Path, known: Manifest | None) -> None:
    """Make a bundle match the plan.

    Raises BundleError for an error of the disk: nothing has changed until everything is staged, and
    after that the next run completes this one.
    """
    written = [c.planned for c in changes if c.planned and c.action in _WRITTEN]
    old = known.files if known else {}
    new: dict[str, tuple[str, ...]] = {
        str(p.path): (fingerprint(p.content),) for p in plan.files if not p.kept
    }
    both = {path: (*old.get(path, ()), *new.get(path, ())) for path in {*old, *new}}
    final = _build_manifest(plan, new)
    try:
        _sweep(bundle)
        for change in changes:
            if change.directory_mode is not None:
                (bundle / change.path).chmod(change.directory_mode)
        if not (bundle / manifest.NAME).exists():
            # The directory is marked as ours before it holds anything else.
            claim = stage(bundle / manifest.NAME, _build_manifest(plan, {}).serialize(), 0o644)
            claim.replace(bundle / manifest.NAME)
        if final != known or written:
            _commit(bundle, written, before=_build_manifest(plan, both), after=final)
    except OSError as error:
        _sweep(bundle)
        raise BundleError(f"{error.filename or bundle}: {error.strerror}") from error


def _build_manifest(plan: Plan, files: dict[str, tuple[str, ...]]) -> Manifest:
    """Return the manifest for a state of the bundle."""
    return Manifest(
        server_name=plan.server_name,
        version=__version__,
        project=plan.project,
        images=plan.images,
        files=files,
    )


def _commit(
    bundle: Path, written: Iterable[PlannedFile], *, before: Manifest, after: Manifest
) -> None:
    """Stage all files, announce them in the manifest, replace them, and write the final manifest."""
    announcement, settlement = (
        stage(bundle / manifest.NAME, each.serialize(), 0o644) for each in (before, after)
    )
    staged = [(_stage_planned(planned, bundle), bundle / planned.path) for planned in written]
    announcement.replace(bundle / manifest.NAME)
    for source, target in staged:
        source.replace(target)
    for path in sorted(before.files.keys() - after.files.keys()):
        (bundle / path).unlink(missing_ok=True)
        directory_modes.remove_empty(bundle, (bundle / path).parent)
    settlement.replace(bundle / manifest.NAME)
    synchronize(bundle)


def _stage_planned(planned: PlannedFile, bundle: Path) -> Path:
    """Write a planned file beside its target; a kept one that exists only changes its mode."""
    target = bundle / planned.path
    stays = planned.kept and not planned.renewed and target.exists()
    content = target.read_bytes() if stays else planned.content
    directory_modes.make(bundle, target.parent)
    return stage(target, content, planned.mode)


def stage(target: Path, content: bytes, mode: int) -> Path:
    """Write a file beside its target and sync it; its mode is safe from the first byte."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=STAGED, dir=target.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    return Path(name)


def _sweep(bundle: Path) -> None:
    """Remove files that a killed run had staged."""
    for directory, _, files in os.walk(bundle):
        for name in files:
            if name.startswith(".") and name.endswith(STAGED):
                Path(directory, name).unlink(missing_ok=True)


def synchronize(bundle: Path) -> None:
    """Wait until the renames are on disk."""
    handle = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
