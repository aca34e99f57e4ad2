"""Files that the program carries: templates and image contexts, in a wheel or in a checkout."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

# The program's own package that the bundle's context of an image has a copy of.
CONVERTER: Final = Path(__file__).with_name("kubernetes")
EXAMPLE: Final = Path(__file__).with_name("settings.example.yaml")


def locate(name: str) -> Path:
    """Return the directory of `compose` or `images`."""
    packaged = Path(__file__).parent / "_assets" / name
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / name


def spell(verb: str, output: str = "") -> str:
    """Return what to type for a verb: in a checkout `make`, else the installed command."""
    if (Path(__file__).parent / "_assets").is_dir():
        return f"synapse-bundle {verb}" + (f" --output {output}" if output else "")
    return f"make {verb}" + (f" OUTPUT={output}" if output else "")


def walk(root: Path) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield every file below a directory with its relative path, sorted.

    Dotfiles and Python's caches are left out, so that a used checkout gives the same bundle as a
    fresh one.
    """
    for directory, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not _is_litter(name))
        for name in sorted(file for file in files if not _is_litter(file)):
            path = Path(directory, name)
            yield PurePosixPath(path.relative_to(root).as_posix()), path


def _is_litter(name: str) -> bool:
    """Return whether a file or directory of this name is left out."""
    return name.startswith(".") or name == "__pycache__" or name.endswith((".pyc", "~"))
