"""The bundle's files as they were: read before an update writes, and written again on the way back."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import directory_modes, manifest, writing
from ..comparison import Action
from ..errors import BundleError
from ..pipeline import Preparation
from ..planning import COMPOSE


@dataclass(frozen=True, kw_only=True)
class OldFile:
    """A file as it was, to be written again: its mode, and its content in base64."""

    mode: int
    content: str = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> OldFile | None:
        """Return the file at a path, or None where there is none."""
        if not path.is_file():
            return None
        content = base64.b64encode(path.read_bytes()).decode()
        return cls(mode=path.stat().st_mode & 0o7777, content=content)

    def rewrite(self, content: bytes) -> OldFile:
        """Return it with another content."""
        return dataclasses.replace(self, content=base64.b64encode(content).decode())

    def decode(self) -> bytes:
        """Return its content."""
        return base64.b64decode(self.content)


def read(bundle: Path, prepared: Preparation) -> dict[str, OldFile | None]:
    """Return what is now at each path that a preparation changes, and the manifest.

    What a run creates once, as a secret, is not listed: it stays.
    """
    changed = [
        change
        for change in prepared.changes
        if change.action is not Action.IDENTICAL and change.directory_mode is None
    ]
    paths = [
        str(change.path)
        for change in changed
        if not (change.action is Action.CREATE and change.planned and change.planned.kept)
    ]
    return {path: OldFile.read(bundle / path) for path in (manifest.NAME, *paths)}


def name_running(
    bundle: Path, files: Mapping[str, OldFile | None], replaced: Mapping[str, str]
) -> dict[str, OldFile | None]:
    """Return old files whose compose.yaml names the images that run.

    `replaced` are those, by the images that it names: it was written again, and not started.
    """
    compose, known = OldFile.read(bundle / COMPOSE), manifest.read(bundle, force=False)
    if not replaced or compose is None or known is None:
        return dict(files)
    content = compose.decode()
    for named, running in replaced.items():
        content = content.replace(f'image: "{named}"\n'.encode(), f'image: "{running}"\n'.encode())
    digests = {**known.files, str(COMPOSE): (manifest.fingerprint(content),)}
    listing = dataclasses.replace(known, files=digests).serialize()
    of_manifest = OldFile.read(bundle / manifest.NAME)
    return {
        **files,
        str(COMPOSE): compose.rewrite(content),
        manifest.NAME: of_manifest and of_manifest.rewrite(listing),
    }


def write(bundle: Path, files: Mapping[str, OldFile | None]) -> None:
    """Write every file as it was, compose.yaml and then the manifest last; BundleError if the disk refuses."""
    last = (str(COMPOSE), manifest.NAME)
    order = [*(path for path in files if path not in last), *(p for p in last if p in files)]
    try:
        for path in order:
            target, old = bundle / path, files[path]
            if old is None:
                target.unlink(missing_ok=True)
                directory_modes.remove_empty(bundle, target.parent)
            else:
                directory_modes.make(bundle, target.parent)
                writing.stage(target, old.decode(), old.mode).replace(target)
        writing.synchronize(bundle)
    except OSError as error:
        raise BundleError(f"{error.filename or bundle}: {error.strerror}") from error
