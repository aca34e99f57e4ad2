"""What certbot has obtained: one lineage per authority and homeserver, read as one PEM."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import configobj

from ..settings.issuers import DIRECTORIES
from .validation import read_pem

if TYPE_CHECKING:
    from ..settings.issuers import Acme

_KINDS: Final = ("cert", "privkey", "chain", "fullchain")


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """certbot's files of one certificate, called `name` in its configuration `directory`."""

    directory: Path
    name: str

    @property
    def live(self) -> Path:
        """Where certbot keeps the present certificate and key."""
        return self.directory / "live" / self.name

    @property
    def certificate_file(self) -> Path:
        """The present certificate with its chain."""
        return self.live / "fullchain.pem"

    def exists(self) -> bool:
        """Say whether certbot has a certificate of this lineage."""
        return self.certificate_file.exists()

    def read(self) -> bytes:
        """Return certificate, chain and key as one PEM; HelperError if one cannot be read."""
        return read_pem(self.certificate_file, self.live / "privkey.pem")

    def set_damaged_aside(self) -> Path | None:
        """Move a lineage that certbot could not read elsewhere; return where it is, or None.

        certbot would leave it alone and save the next certificate as `<name>-0001`, where it would
        never be found. OSError passes through.
        """
        parts = [
            self.directory / "renewal" / f"{self.name}.conf",
            self.live,
            self.directory / "archive" / self.name,
        ]
        found = [part for part in parts if os.path.lexists(part)]
        if not found or _is_whole(parts[0], self.live):
            return None
        aside = self.directory / "set-aside" / f"{time.time_ns()}"
        for part in found:
            target = aside / part.parent.name
            target.mkdir(mode=0o700, parents=True)
            part.rename(target / part.name)
        return aside


def find_lineage(acme: Acme, homeserver: str) -> Lineage:
    """Return the lineage of an authority and a homeserver; another of either has another one."""
    parts = urlsplit(acme.name)
    authority = acme.name if acme.name in DIRECTORIES else f"{parts.netloc}{parts.path}"
    name = f"{homeserver}-{re.sub(r'[^A-Za-z0-9.]+', '-', authority).strip('-')}"
    return Lineage(directory=acme.lineages_directory, name=name)


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
