"""Files that one process leaves for another: replaced in one step, so they are whole or absent."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from . import locks
from .errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write_json(path: Path, content: Mapping[str, Any], mode: int = 0o644) -> None:
    """Replace `path` by `content` as JSON in one step; HelperError if it cannot be written."""
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    try:
        replace(path, text.encode(), mode)
    except OSError as error:
        raise HelperError(
            f"{path} cannot be written ({error.strerror}). Check the volume mounted at"
            f" {path.parent}: its owner must be this container's user, and it must not be full.",
        ) from error


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`; HelperError if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise HelperError(f"{path} cannot be read: {reason}") from error
    if not isinstance(content, dict):
        raise HelperError(f"{path} cannot be read: it does not hold a JSON object")
    return content


def replace(path: Path, content: bytes, mode: int, group: int = -1) -> None:
    """Write beside `path`, then rename over it; group and mode are right before the first byte.

    Several processes may do so at once. A kill at any moment leaves the old file or the new one.
    OSError passes through.
    """
    beside = path.with_name(f".{path.name}.new")
    with locks.open_locked(beside) as descriptor:
        if group != -1:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
        beside.replace(path)
    _synchronize(path.parent)


def _synchronize(directory: Path) -> None:
    """Make the renames inside `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
