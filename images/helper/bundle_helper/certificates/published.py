"""The published certificate: one PEM file that Apache reads, and who issued it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from .. import locks, storage
from ..errors import HelperError
from .validation import UnusableCertificateError

if TYPE_CHECKING:
    from pathlib import Path

    from .validation import ServerCertificate

LIVE: Final = "live.pem"
PREVIOUS: Final = "previous.pem"
# A certificate of the bundle's own authority in place of one that another issuer has yet to give.
PLACEHOLDER: Final = "placeholder"
_ORIGIN: Final = "origin.json"
# The owner renews it, the group (Apache's) reads it; no other user sees the key in it.
_MODE: Final = 0o640


def read_live(directory: Path) -> bytes:
    """Return the published PEM; UnusableCertificateError if there is none."""
    try:
        return (directory / LIVE).read_bytes()
    except FileNotFoundError as error:
        raise UnusableCertificateError("there is none yet") from error
    except OSError as error:
        raise UnusableCertificateError(f"{directory / LIVE}: {error.strerror}") from error


def read_time(directory: Path) -> datetime | None:
    """Return when the live certificate was published, or None if there is none."""
    try:
        return datetime.fromtimestamp((directory / LIVE).stat().st_mtime, UTC)
    except OSError:
        return None


def read_origin(directory: Path, certificate: ServerCertificate) -> str | None:
    """Return who issued a certificate, or None if that was not recorded."""
    try:
        content = storage.read_json(directory / _ORIGIN)
    except HelperError:
        return None
    return str(content.get("issuer")) if content.get("serial") == certificate.serial else None


def publish(
    directory: Path, certificate: ServerCertificate, group: int, issuer: str | None = None
) -> bool:
    """Make `certificate` the live one, and the live one the previous; record its `issuer`.

    Return whether it differs from the one before. A kill at any moment leaves the old live file or
    the new one. HelperError says what to fix.
    """
    live = directory / LIVE
    try:
        with locks.lock_directory(directory):
            differs = not live.exists() or live.read_bytes() != certificate.pem
            if differs and live.exists():
                _keep(live, directory / PREVIOUS)
            if differs:
                storage.replace(live, certificate.pem, _MODE, group)
            if issuer is not None and read_origin(directory, certificate) != issuer:
                content = {"serial": certificate.serial, "issuer": issuer}
                storage.write_json(directory / _ORIGIN, content)
            return differs
    except OSError as error:
        raise HelperError(
            f"the certificate cannot be written to {live} ({error.strerror}). The directory must"
            f" belong to this container's user, and that user to group {group} (`group_add`);"
            " its filesystem must not be full."
        ) from error


def _keep(live: Path, previous: Path) -> None:
    # A second name for the same file: the live one is never missing, and its mode is right.
    beside = previous.with_name(f".{previous.name}.new")
    beside.unlink(missing_ok=True)
    os.link(live, beside)
    beside.replace(previous)
