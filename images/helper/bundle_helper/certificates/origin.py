"""Who issued the published certificate, remembered beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import storage
from ..errors import HelperError

if TYPE_CHECKING:
    from pathlib import Path

    from .published import Publication

# A certificate of the bundle's own authority that stands in for another issuer's.
PLACEHOLDER = "placeholder"
_FILE = "origin.json"


def record(directory: Path, publication: Publication, issuer: str) -> None:
    """Remember who issued a certificate that was published; HelperError if it can not be written."""
    if read(directory, publication) != issuer:
        storage.write(directory / _FILE, {"serial": publication.serial, "issuer": issuer})


def read(directory: Path, publication: Publication) -> str | None:
    """Return who issued a certificate, or None if that was not recorded."""
    try:
        content = storage.read(directory / _FILE)
    except HelperError:
        return None
    return str(content.get("issuer")) if content.get("serial") == publication.serial else None
