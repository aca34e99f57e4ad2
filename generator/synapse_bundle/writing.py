"""Changes -> disk: everything is staged before anything is replaced; compose.yaml comes last."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from . import __version__, assets, directory_modes, manifest
from .comparison import Action, FileChange
from .errors import BundleError, SettingsError
from .manifest import Manifest, fingerprint
from .planning import COMPOSE, Plan, PlannedFile

_LOCK: Final = ".lock"
# The state of `cloudflare apply`, which may exist before the bundle.
CLOUDFLARE: Final = ".cloudflare.json"
_STAGED: Final = ".bundle-new"
_WRITTEN: Final = (Action.CREATE, Action.UPDATE)


def check_output(bundle: Path, *, force: bool = False) -> None:
    """Raise SettingsError for a directory that must not be written to.

    With `force` a bundle that has lost its manifest is accepted.
    """
    if bundle.exists() and not bundle.is_dir():
        raise SettingsError(f"{bundle} is a file; choose another --output")
    entries = _list_entries(bundle)
    if manifest.NAME in entries:
        return
    if bundle.is_symlink():
        raise SettingsError(
            f"{bundle} is a link to something that is not a bundle; choose another --output"
        )
    home = os.path.realpath(os.path.expanduser("~"))  # noqa: PTH111  # there may be none
    if str(bundle.resolve()) in {"/", home}:
        raise SettingsError(f"{bundle} is not a place for a bundle; choose another --output")
    if entries and not manifest.recover(bundle):
        raise SettingsError(
            f"{bundle} holds other files and is not a bundle; choose another --output"
        )
    if entries and not force:
        raise SettingsError(
            f"{bundle} is a bundle without its hidden file {manifest.NAME}, which a copy by"
            " `cp -r bundle/*` leaves behind.",
            [
                "Copy that file too, or take the folder over: generate with --force.",
                "That keeps secrets/ and every *.override.yaml, and overwrites the rest.",
            ],
        )


def _list_entries(bundle: Path) -> set[str]:
    """Return the names in a directory, without those that may exist before the bundle."""
    try:
        found = [entry.name for entry in bundle.iterdir()]
    except FileNotFoundError:
        return set()
    # So may what a first run had staged when it was killed.
    known = {_LOCK, CLOUDFLARE}
    return {name for name in found if name not in known and not name.endswith(_STAGED)}


def check_neighbour(bundle: Path, project: str) -> None:
    """Raise SettingsError where the compose.yaml above a bundle would run it as another project.

    Included by a file with another `name:`, the same bundle would start with empty volumes.
    """
    above = bundle.resolve().parent / "compose.yaml"
    text = above.read_text(encoding="utf-8", errors="replace") if above.is_file() else ""
    named = rf"(?m)^name:\s*(['\"]?){re.escape(project)}\1\s*(#.*)?$"
    if f"{bundle.name}/{COMPOSE}" in text and not re.search(named, text):
        raise SettingsError(
            f"project {project!r} is not the name in {above}, which includes this bundle;"
            f" give this one a directory of its own: {assets.spell('generate', '../other/bundle')}"
        )


@contextlib.contextmanager
def lock(bundle: Path) -> Iterator[None]:
    """Lock a bundle for one run; raises BundleError where another run has it locked.

    Directories that were created only for the lock are removed with it.
    """
    created = [path for path in (bundle, *bundle.parents) if not path.exists()]
    try:
        handle = _take_lock(bundle)
    except OSError as error:
        _remove_created(created)
        raise BundleError(f"{bundle} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        # While the lock is held: afterwards it may be another run's.
        with contextlib.suppress(OSError):
            if [entry.name for entry in bundle.iterdir()] == [_LOCK]:
                (bundle / _LOCK).unlink()
                _remove_created(created)
        os.close(handle)


def _take_lock(bundle: Path) -> int:
    """Return an open, locked file that is still the one at its path.

    The run that held it before may remove it, and its directory, between any two steps here.
    """
    while True:
        _make_output(bundle)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            handle = os.open(bundle / _LOCK, flags, 0o600)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), (bundle / _LOCK).stat()):
                return handle
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(handle)
            raise BundleError(
                f"another run is writing {bundle}; try again when it has ended"
            ) from None
        os.close(handle)


def _make_output(bundle: Path) -> None:
    """Create the bundle's directory if it is missing, with a mode that ignores the umask."""
    bundle.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        bundle.mkdir(mode=directory_modes.CLOSED)
        bundle.chmod(directory_modes.OPEN)


def _remove_created(created: Iterable[Path]) -> None:
    """Remove directories that this run created, innermost first, if they are empty."""
    with contextlib.suppress(OSError):
        for directory in created:
            directory.rmdir()


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
    content = target.read_bytes() if planned.kept and target.exists() else planned.content
    directory_modes.make(bundle, target.parent)
    return stage(target, content, planned.mode)


def stage(target: Path, content: bytes, mode: int) -> Path:
    """Write a file beside its target and sync it; its mode is safe from the first byte."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=_STAGED, dir=target.parent)
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
            if name.startswith(".") and name.endswith(_STAGED):
                Path(directory, name).unlink(missing_ok=True)


def synchronize(bundle: Path) -> None:
    """Wait until the renames are on disk."""
    handle = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
