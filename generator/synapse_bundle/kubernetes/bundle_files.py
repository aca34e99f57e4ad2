"""The bundle's files as a conversion needs them: read once, by their path in the bundle."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from .compose_model import ComposeModel, ConversionError

# By this a folder is known as one of manifests.
MARKER: Final = ".synapse-bundle-kubernetes"
SECRETS: Final = "secrets/"
# Of the hidden files only this one is part of a bundle and without any secret.
_MANIFEST: Final = ".manifest.json"


def read_files(bundle: Path, model: ComposeModel) -> dict[str, bytes]:
    """Return every file below a bundle but what its services write there, such as a repository.

    Manifests are not part of it. Raises ConversionError where there is no folder.
    """
    if not bundle.is_dir():
        raise ConversionError("the bundle is missing; pass it with: --templates .")
    writable = {
        mount.source.removeprefix("./")
        for service in model.services.values()
        for mount in service.mounts
        if mount.kind == "bind" and not mount.read_only and mount.source != "."
    }
    found = {}
    for directory, names, files in os.walk(bundle):
        inside = Path(directory).relative_to(bundle)
        if MARKER in files:
            names.clear()
            continue
        names[:] = sorted(
            n for n in names if str(inside / n) not in writable and n != "__pycache__"
        )
        for name in sorted(files):
            path = Path(directory, name)
            title = (inside / name).as_posix()
            if path.is_file() and not path.is_symlink() and not _is_temporary(title):
                found[title] = path.read_bytes()
    return found


def _is_temporary(path: str) -> bool:
    """Say whether a file is only there while a command works: half a file, or a rotation's journal."""
    return path.endswith(".bundle-new") or path.startswith(f"{SECRETS}.")


def is_secret(path: str) -> bool:
    """Say whether a file may only be in a Secret."""
    hidden = any(part.startswith(".") for part in path.split("/"))
    return path.startswith(SECRETS) or (hidden and path != _MANIFEST)


def read_one(files: Mapping[str, bytes], path: str) -> bytes:
    """Return the content of a file; raises ConversionError where there is none."""
    if path not in files:
        raise ConversionError(f"{path} is missing in the bundle; run: synapse-bundle generate")
    return files[path]


def select(files: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    """Return the files of a folder by their path in it; raises ConversionError where there is none."""
    chosen = {
        path.removeprefix(f"{folder}/"): content
        for path, content in files.items()
        if path.startswith(f"{folder}/")
    }
    if not chosen:
        raise ConversionError(f"the bundle has no folder {folder}; run: synapse-bundle generate")
    return chosen


def name_keys(paths: Iterable[str]) -> dict[str, str]:
    """Return each path's key, which may hold no slash; raises ConversionError where two are the same."""
    keys = {path: path.replace("/", "_") for path in paths}
    if len(set(keys.values())) < len(keys):
        raise ConversionError("two files of the bundle would have the same key; rename one of them")
    return keys
