"""Small JSON files that one process leaves for another: whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from typing import TYPE_CHECKING, Any

from .errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
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

    Many may do so at once. A kill at any moment leaves the old file or the new one. OSError passes
    through.
    """
    beside = path.with_name(f".{path.name}.new")
    with _open_alone(beside) as descriptor:
        if group != -1:
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
        beside.replace(path)
    synchronise(path.parent)


@contextlib.contextmanager
def _open_alone(path: Path) -> Iterator[int]:
    """Open a file, empty, that nobody else writes; what a killed writer left is taken over."""
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except PermissionError:
            # No writer of ours left it with such a mode.
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            # Whoever had the lock may have renamed the file since: then it is no longer ours to write.
            if _is_named(descriptor, path):
                os.ftruncate(descriptor, 0)
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is_named(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def synchronise(directory: Path) -> None:
    """Make the renames inside `directory` survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
