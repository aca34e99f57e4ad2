"""The files of a set: the bundle's folder and Synapse's media; which of them cannot be read."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..settings.backup_settings import BackupSettings

# Copies of what other servers have, which Synapse fetches again when somebody asks for it.
_FETCHED_AGAIN: Final = ("remote_content", "remote_thumbnail", "url_cache", "url_cache_thumbnails")
_MEDIA_STORE: Final = "media_store"


def list_sources(settings: BackupSettings) -> tuple[Path, ...]:
    """Return the directories that a set holds."""
    return settings.bundle_directory, settings.media_directory


def list_excludes(settings: BackupSettings) -> tuple[Path, ...]:
    """Return what a set leaves out: remote media, a repository inside the folder, what a restore left."""
    store = settings.media_directory / _MEDIA_STORE
    remote = () if settings.remote_media else tuple(store / name for name in _FETCHED_AGAIN)
    repository = () if settings.exclude is None else (settings.exclude,)
    return (*remote, *repository, settings.staging_directory)


def find_unreadable(settings: BackupSettings) -> Path | None:
    """Return the first file or directory of a set that this process may not read."""
    excludes = {str(path) for path in list_excludes(settings)}
    for source in list_sources(settings):
        for path in _walk(str(source), excludes):
            return Path(path)
    return None


def _walk(directory: str, excludes: set[str]) -> Iterator[str]:
    """Yield what cannot be read at or below a directory; what vanishes meanwhile does not count."""
    try:
        entries = list(os.scandir(directory))
    except FileNotFoundError:
        return
    except PermissionError:
        yield directory
        return
    for entry in entries:
        if entry.path in excludes or entry.is_symlink():
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, excludes)
        elif not os.access(entry.path, os.R_OK) and os.path.lexists(entry.path):
            yield entry.path


def explain_unreadable(settings: BackupSettings, paths: Iterable[Path]) -> str:
    """Return which files are unreadable, and the `chmod` that makes the first of them readable."""
    first, *others = paths
    more = f" (and {len(others)} more)" if others else ""
    return f"{first} cannot be read{more}, so no set was made. {_advise(settings, first)}, then repeat."


def _advise(settings: BackupSettings, path: Path) -> str:
    mode = "a+rX" if path.is_dir() else "a+r"
    if path.is_relative_to(settings.bundle_directory):
        inside = shlex.quote(str(path.relative_to(settings.bundle_directory)))
        return f"In the bundle's folder type `chmod {mode} {inside}` (with sudo if it is not yours)"
    # The service `restore` has the media at the same place, and may change their modes.
    target = shlex.quote(str(path))
    return f"Type `docker compose run --rm --no-deps --entrypoint chmod restore {mode} {target}`"
