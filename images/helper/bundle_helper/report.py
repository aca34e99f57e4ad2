"""Small JSON files that one process leaves for another: whole or not at all."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from .errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write(path: Path, content: Mapping[str, Any], mode: int = 0o644) -> None:
    """Replace `path` by `content` as JSON in one step; HelperError if the place refuses it."""
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    try:
        replace(path, text.encode(), mode)
    except OSError as error:
        raise HelperError(
            f"{path} can not be written ({error.strerror}). Look at the volume mounted at"
            f" {path.parent}: its owner must be this container's user, and it must not be full.",
        ) from error


def read(path: Path) -> dict[str, Any]:
    """Return the JSON object in `path`; HelperError if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise HelperError(f"{path} can not be read: {reason}") from error
    if not isinstance(content, dict):
        raise HelperError(f"{path} can not be read: it holds no JSON object")
    return content


def replace(path: Path, content: bytes, mode: int, group: int = -1) -> None:
    """Write beside `path`, then rename over it; group and mode are right before the first byte.

    A kill at any moment leaves the old file or the new one. OSError passes through.
    """
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        if group != -1:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    beside.replace(path)
    synchronise(path.parent)


def synchronise(directory: Path) -> None:
    """Make the renames inside `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
