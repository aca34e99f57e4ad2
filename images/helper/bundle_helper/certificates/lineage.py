"""What certbot has obtained: one lineage per authority and homeserver, read as one PEM."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import configobj

from ..errors import HelperError
from ..settings.issuers import DIRECTORIES

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings

_KINDS = ("cert", "privkey", "chain", "fullchain")


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


def set_broken_aside(settings: ServiceSettings) -> Path | None:
    """Move a lineage that certbot could not read out of its way; return where it is, or None.

    certbot would leave it be and save the next certificate as `<name>-0001`, where nobody looks.
    OSError passes through.
    """
    if settings.acme is None:
        return None
    root = settings.acme.lineages_directory
    lineage = name(settings.certificate_issuer, settings.homeserver)
    places = [
        root / "renewal" / f"{lineage}.conf",
        root / "live" / lineage,
        root / "archive" / lineage,
    ]
    found = [place for place in places if os.path.lexists(place)]
    if not found or _is_whole(places[0], places[1]):
        return None
    aside = root / "set-aside" / f"{time.time_ns()}"
    for place in found:
        target = aside / place.parent.name
        target.mkdir(mode=0o700, parents=True)
        place.rename(target / place.name)
    return aside


def _is_whole(configuration: Path, live: Path) -> bool:
    """Say whether certbot can read the lineage, by its own rules for both places."""
    try:
        content = configobj.ConfigObj(str(configuration), encoding="utf-8", file_error=True)
    except (OSError, configobj.ConfigObjError, UnicodeDecodeError):
        return False
    return all(
        kind in content and _is_filled(Path(str(content[kind])), live / f"{kind}.pem")
        for kind in _KINDS
    )


def _is_filled(named: Path, link: Path) -> bool:
    try:
        return named == link and link.is_symlink() and link.stat().st_size > 0
    except OSError:
        return False


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
