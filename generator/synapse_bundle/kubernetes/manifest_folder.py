"""A folder of manifests: written whole, readable by its owner alone, and never in place of something else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from .bundle_files import MARKER
from .compose_model import ConversionError

_NOTE: Final = b"Written by synapse-bundle kubernetes, which replaces this folder as a whole.\n"


def require_replaceable(folder: Path) -> None:
    """Raise ConversionError where a folder holds anything that this program did not write."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise ConversionError(f"{folder} is not a folder; choose another --manifests")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARKER).is_file():
        raise ConversionError(
            f"{folder} holds other files and would be replaced; choose another --manifests"
        )


def require_outside(folder: Path, bundle: Path) -> None:
    """Raise ConversionError for a folder in the bundle, of which it would be a part."""
    if folder.resolve().is_relative_to(bundle.resolve()):
        raise ConversionError(f"{folder} is in the bundle; choose another --manifests")


def replace(folder: Path, manifests: Mapping[str, bytes]) -> None:
    """Replace a folder by these manifests; a kill leaves the old one, the new one, or none of them.

    They hold secrets, so nobody else may read them. OSError passes through.
    """
    require_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Of mode 0700 from the start.
    staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        fill(staged, manifests)
        if folder.exists():
            shutil.rmtree(folder)
        staged.rename(folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def fill(folder: Path, manifests: Mapping[str, bytes]) -> None:
    """Write manifests into an empty folder; OSError passes through."""
    for path, content in {MARKER: _NOTE, **manifests}.items():
        target = folder / path
        target.parent.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
