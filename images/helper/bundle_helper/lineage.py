"""What certbot has obtained: one lineage per authority and homeserver, read as one PEM."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import HelperError
from .issuers import DIRECTORIES

if TYPE_CHECKING:
    from pathlib import Path

    from .settings import ServiceSettings


def name(issuer: str, homeserver: str) -> str:
    """Return certbot's name of the lineage; another authority or homeserver is another lineage."""
    parts = urlsplit(issuer)
    told = issuer if issuer in DIRECTORIES else f"{parts.netloc}{parts.path}"
    return f"{homeserver}-{re.sub(r'[^A-Za-z0-9.]+', '-', told).strip('-')}"


def exists(settings: ServiceSettings) -> bool:
    """Say whether certbot has a lineage for the present settings."""
    return settings.acme is not None and (_live(settings) / "fullchain.pem").exists()


def read(settings: ServiceSettings) -> bytes:
    """Return certificate, chain and key as one PEM; HelperError if one can not be read."""
    return join(_live(settings) / "fullchain.pem", _live(settings) / "privkey.pem")


def join(certificate_file: Path, key_file: Path) -> bytes:
    """Return the content of both files as one PEM, key last; HelperError names what is unreadable."""
    parts = []
    for path in (certificate_file, key_file):
        try:
            parts.append(path.read_bytes().strip() + b"\n")
        except OSError as error:
            raise HelperError(f"{path} can not be read: {error.strerror}") from error
    return b"".join(parts)


def _live(settings: ServiceSettings) -> Path:
    if settings.acme is None:
        raise HelperError(f"{settings.certificate_issuer} is no ACME authority")
    lineage = name(settings.certificate_issuer, settings.homeserver)
    return settings.acme.lineages_directory / "live" / lineage
