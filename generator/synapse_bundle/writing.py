"""Changes -> disk: everything is staged before anything is replaced, compose.yaml comes last."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from . import __version__, assets
from . import manifest as manifests
from .comparison import Action, Change
from .credentials import DIRECTORY
from .errors import BundleError, SettingsError
from .manifest import Manifest, fingerprint
from .planning import COMPOSE, Plan, PlannedFile

LOCK: Final = ".lock"
# What `cloudflare apply` knows; it may be there before there is a bundle.
CLOUDFLARE: Final = ".cloudflare.json"
STAGED: Final = ".bundle-new"
WRITTEN: Final = (Action.CREATE, Action.UPDATE)


def check_output(bundle: Path) -> None:
    """Raise SettingsError for a directory that is not ours to write into."""
    found = [entry.name for entry in bundle.iterdir()] if bundle.is_dir() else []
    # What a first run had staged when it was killed is ours too.
    known = {LOCK, CLOUDFLARE}
    entries = {name for name in found if name not in known and not name.endswith(STAGED)}
    if bundle.exists() and not bundle.is_dir():
        raise SettingsError(f"{bundle} is a file; choose another --output")
    if manifests.NAME in entries:
        return
    if bundle.is_symlink():
        raise SettingsError(
            f"{bundle} is a link to something that is no bundle; choose another --output"
        )
    if bundle.resolve() in (Path("/"), find_home()):
        raise SettingsError(f"{bundle} is not a place for a bundle; choose another --output")
    if entries:
        raise SettingsError(f"{bundle} holds other files and no bundle; choose another --output")


def find_home() -> Path:
    """Return the home directory; `/`, where the user has no entry and HOME is not set."""
    try:
        return Path.home().resolve()
    except RuntimeError:
        return Path("/")


def check_neighbour(bundle: Path, project: str) -> None:
    """Raise SettingsError where the compose.yaml above a bundle would run it as another project.

    Included by a file with another `name:`, the same bundle would start with empty volumes.
    """
    above = bundle.resolve().parent / "compose.yaml"
    text = above.read_text(encoding="utf-8") if above.is_file() else ""
    named = rf"(?m)^name:\s*(['\"]?){re.escape(project)}\1\s*(#.*)?$"
    if f"{bundle.name}/{COMPOSE}" in text and not re.search(named, text):
        raise SettingsError(
            f"project {project!r} is not the name in {above}, which includes this bundle;"
            f" give this one a directory of its own: {assets.spell('generate', '../other/bundle')}"
        )


@contextlib.contextmanager
def lock(bundle: Path) -> Iterator[None]:
    """Hold a bundle for one run; raises BundleError where another run holds it.

    A directory that was made for the lock alone goes away with it.
    """
    created = not bundle.exists()
    try:
        bundle.mkdir(parents=True, exist_ok=True)
        handle = os.open(bundle / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise BundleError(f"{bundle} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BundleError(f"another run is writing {bundle}; try again when it has ended") from None
    else:
        yield
    finally:
        if created and [entry.name for entry in bundle.iterdir()] == [LOCK]:
            (bundle / LOCK).unlink()
            bundle.rmdir()
        os.close(handle)


def apply(plan: Plan, changes: Iterable[Change], bundle: Path, manifest: Manifest | None) -> None:
    """Bring a bundle to the plan.

    Raises BundleError where the disk refuses; until everything is staged nothing has changed, and
    after that the next run completes what this one began.
    """
    written = [c.planned for c in changes if c.planned and c.action in WRITTEN]
    old = manifest.files if manifest else {}
    new: dict[str, tuple[str, ...]] = {
        str(p.path): (fingerprint(p.content),) for p in plan.files if not p.kept
    }
    both = {path: (*old.get(path, ()), *new.get(path, ())) for path in {*old, *new}}
    final = describe(plan, new)
    try:
        sweep(bundle)
        if manifest is None:
            # The directory is marked as ours before anything else is in it.
            claim = stage(bundle / manifests.NAME, describe(plan, {}).serialize(), 0o644)
            claim.replace(bundle / manifests.NAME)
        if final != manifest or written:
            commit(bundle, written, before=describe(plan, both), after=final)
    except OSError as error:
        sweep(bundle)
        raise BundleError(f"{error.filename or bundle}: {error.strerror}") from error


def describe(plan: Plan, files: dict[str, tuple[str, ...]]) -> Manifest:
    """Return the manifest for a state of the bundle."""
    return Manifest(server_name=plan.server_name, version=__version__, files=files)


def commit(
    bundle: Path, written: Iterable[PlannedFile], *, before: Manifest, after: Manifest
) -> None:
    """Stage all files, announce them in the manifest, replace them, and settle the manifest."""
    announcement, settlement = (
        stage(bundle / manifests.NAME, each.serialize(), 0o644) for each in (before, after)
    )
    staged = [(stage_planned(planned, bundle), bundle / planned.path) for planned in written]
    announcement.replace(bundle / manifests.NAME)
    for source, target in staged:
        source.replace(target)
    for path in sorted(before.files.keys() - after.files.keys()):
        (bundle / path).unlink(missing_ok=True)
        remove_empty(bundle, (bundle / path).parent)
    settlement.replace(bundle / manifests.NAME)
    synchronize(bundle)


def stage_planned(planned: PlannedFile, bundle: Path) -> Path:
    """Write a planned file beside its place; a kept one that exists only changes its mode."""
    target = bundle / planned.path
    content = target.read_bytes() if planned.kept and target.exists() else planned.content
    make_directories(bundle, target.parent)
    return stage(target, content, planned.mode)


def stage(target: Path, content: bytes, mode: int) -> Path:
    """Write a file beside its place, complete and on disk; its mode is safe from the first byte."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=STAGED, dir=target.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    return Path(name)


def make_directories(bundle: Path, directory: Path) -> None:
    """Create the directories of a file: secrets for the operator alone, the rest readable.

    Whatever the umask says: containers run as other users and must read what they mount.
    """
    if directory != bundle:
        make_directories(bundle, directory.parent)
        mode = 0o700 if directory == bundle / DIRECTORY else 0o755
        with contextlib.suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        if directory.stat().st_mode & 0o777 != mode:
            directory.chmod(mode)


def remove_empty(bundle: Path, directory: Path) -> None:
    """Remove a directory and its parents inside the bundle as far as they are empty."""
    while directory != bundle and not (directory.is_dir() and any(directory.iterdir())):
        if directory.is_dir():
            directory.rmdir()
        directory = directory.parent


def sweep(bundle: Path) -> None:
    """Remove what a run that was killed had staged."""
    for leftover in bundle.rglob(f".*{STAGED}"):
        leftover.unlink()


def synchronize(bundle: Path) -> None:
    """Wait until the renames are on disk."""
    handle = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
