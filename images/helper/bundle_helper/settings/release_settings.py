"""The settings of the list of releases: where it comes from, who signs it, what is remembered."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from .environment import parse_path

if TYPE_CHECKING:
    from .environment import Environment

_NONE: Final = "none"
_PINNED: Final = "pinned"
_SCHEMES: Final = ("https", "http")


@dataclass(frozen=True, kw_only=True)
class ReleaseSettings:
    """`source` is an address or a file; `keys_file` None stands for the keys in this image."""

    source: str | Path
    keys_file: Path | None
    directory: Path


def read_releases(environment: Environment) -> ReleaseSettings | None:
    """Return the settings, noting problems; None where no list is wanted."""
    source = environment.read("RELEASE_LIST", _parse_source, None)
    if source is None:
        return None
    return ReleaseSettings(
        source=source,
        keys_file=environment.optional_file("RELEASE_KEYS_FILE", without=_PINNED),
        directory=environment.path("RELEASES_DIRECTORY"),
    )


def _parse_source(text: str) -> str | Path | None:
    if text == _NONE:
        return None
    return parse_path(text) if text.startswith("/") else _parse_list_address(text)


def _parse_list_address(text: str) -> str:
    """Return the address of a list; ValueError otherwise. A query could tell servers apart."""
    parts = urlsplit(text)
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.port == 0:
        raise ValueError(f"{text!r} is not an address such as https://example.org/releases.signed")
    if re.search(r"[^!-~]|[?#]", text) or "@" in parts.netloc:
        raise ValueError(f"{text!r} holds more than scheme, host, port and path")
    return text
