"""What a service mounts of the bundle, as one digest: a container is recreated when that changes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any


class AnyKey(dict[str, str]):
    """Placeholders for the digests in the first of the two renderings."""

    def __missing__(self, key: str) -> str:
        return ""


def find_sources(service: Mapping[str, Any]) -> list[str]:
    """Return the paths in the bundle that a service mounts.

    Of the whole bundle those count that the environment names.
    """
    mounts = [mount for mount in service.get("volumes", []) if mount["type"] == "bind"]
    sources = [m["source"].removeprefix("./") for m in mounts if m["source"] != "."]
    for whole in (f"{m['target']}/" for m in mounts if m["source"] == "."):
        named = map(str, service["environment"].values())
        sources += [text.removeprefix(whole) for text in named if text.startswith(whole)]
    return sources


def digest_inputs(sources: Iterable[str], contents: Mapping[str, bytes]) -> str:
    """Return one digest over the named files and all files below the named directories."""
    chosen = {
        path: content
        for path, content in contents.items()
        if any(path == source or path.startswith(f"{source}/") for source in sources)
    }
    return digest(chosen)


def digest(contents: Mapping[str, bytes]) -> str:
    """Return the SHA-256 over paths and contents."""
    total = hashlib.sha256()
    for path, content in sorted(contents.items()):
        total.update(f"{path}\0{len(content)}\0".encode() + content)
    return total.hexdigest()
