"""The published certificate: one PEM file that Apache reads, replaced whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import os
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from .. import storage
from ..errors import HelperError
from . import origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

LIVE = "live.pem"
PREVIOUS = "previous.pem"
# The owner renews it, the group (Apache's) reads it, nobody else sees the key in it.
_MODE = 0o640
_RENEWAL_SHARE = 3
_PRIVATE_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


class PublicationError(HelperError):
    """A PEM that must not be published, or must no longer be used."""


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A PEM that passed every test: leaf, chain and key belong together."""

    pem: bytes
    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    @property
    def serial(self) -> str:
        """The serial number of the leaf, in hexadecimal as OpenSSL prints it."""
        return serial_text(self.leaf.serial_number)

    @property
    def valid_until(self) -> datetime:
        """The moment from which clients refuse the leaf, in UTC."""
        return self.leaf.not_valid_after_utc

    def is_due(self, now: datetime) -> bool:
        """Say whether a third of the lifetime or less is left, so that a renewal has time."""
        lifetime = self.leaf.not_valid_after_utc - self.leaf.not_valid_before_utc
        return self.valid_until - now <= lifetime / _RENEWAL_SHARE


def serial_text(number: int) -> str:
    """Return a serial number as OpenSSL prints it: hexadecimal digits in pairs."""
    text = f"{number:X}"
    return text.zfill(len(text) + len(text) % 2)


def validate(
    pem: bytes, names: Sequence[str], now: datetime, issuer: x509.Certificate | None = None
) -> Publication:
    """Return what `pem` holds, or raise PublicationError with everything that is wrong with it.

    It must be leaf, chain and one key, in this order; the leaf valid now and for every name in
    `names`; each certificate issued by the next, and the last by `issuer` if one is given.
    """
    certificates = _certificates(pem)
    leaf = certificates[0]
    chain = (*certificates[1:], *([issuer] if issuer else []))
    problems = [
        *_problems_of_key(pem, leaf),
        *_problems_of_names(leaf, names),
        *_problems_of_time(leaf, now),
        *_problems_of_chain((leaf, *chain)),
    ]
    if problems:
        raise PublicationError("; ".join(problems))
    return Publication(pem=pem, leaf=leaf, chain=tuple(certificates[1:]))


def read_live(directory: Path) -> bytes:
    """Return the published PEM; PublicationError if there is none."""
    try:
        return (directory / LIVE).read_bytes()
    except FileNotFoundError as error:
        raise PublicationError("there is none yet") from error
    except OSError as error:
        raise PublicationError(f"{directory / LIVE}: {error.strerror}") from error


def published_at(directory: Path) -> datetime | None:
    """Return when the live certificate was published, or None if there is none."""
    try:
        return datetime.fromtimestamp((directory / LIVE).stat().st_mtime, UTC)
    except OSError:
        return None


def publish(
    directory: Path, publication: Publication, group: int, issuer: str | None = None
) -> bool:
    """Make `publication` the live one, and the live one the previous; remember its `issuer`.

    Return whether it is another than before. A kill at any moment leaves the old live file or the
    new one. HelperError says what to mend.
    """
    live = directory / LIVE
    try:
        with _alone(directory):
            news = not live.exists() or live.read_bytes() != publication.pem
            if news and live.exists():
                _keep(live, directory / PREVIOUS)
            if news:
                storage.replace(live, publication.pem, _MODE, group)
            if issuer is not None:
                origin.record(directory, publication, issuer)
            return news
    except OSError as error:
        raise HelperError(
            f"the certificate can not be written to {live} ({error.strerror}). The directory must"
            f" belong to this container's user, and that user to group {group} (`group_add`);"
            " its filesystem must not be full."
        ) from error


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Let nobody else publish meanwhile: another thread, a person's command, a second helper."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _keep(live: Path, previous: Path) -> None:
    # A second name for the same file: the live one is never missing, and its mode is right.
    beside = previous.with_name(f".{previous.name}.new")
    beside.unlink(missing_ok=True)
    os.link(live, beside)
    beside.replace(previous)


def _certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise PublicationError("it holds no readable certificate") from error


def _problems_of_key(pem: bytes, leaf: x509.Certificate) -> Iterable[str]:
    blocks = list(_PRIVATE_KEY.finditer(pem))
    if len(blocks) != 1:
        yield f"it holds {len(blocks)} private keys instead of one"
        return
    if b"BEGIN CERTIFICATE" in pem[blocks[0].start() :]:
        yield "the private key does not come last"
    try:
        key = serialization.load_pem_private_key(blocks[0].group(), password=None)
    except (ValueError, TypeError):
        yield "its private key is not readable"
        return
    if key.public_key() != leaf.public_key():
        yield "its private key is not the one of its first certificate"


def _problems_of_names(leaf: x509.Certificate, names: Sequence[str]) -> Iterable[str]:
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        yield "it names no host"
        return
    hosts = {host.lower() for host in alternative.get_values_for_type(x509.DNSName)}
    addresses = {str(address) for address in alternative.get_values_for_type(x509.IPAddress)}
    missing = [name for name in names if not _is_covered(name, hosts, addresses)]
    if missing:
        yield f"it is not for {', '.join(missing)}"


def _is_covered(name: str, hosts: set[str], addresses: set[str]) -> bool:
    try:
        return str(ipaddress.ip_address(name)) in addresses
    except ValueError:
        return name in hosts or f"*.{name.partition('.')[2]}" in hosts


def _problems_of_time(leaf: x509.Certificate, now: datetime) -> Iterable[str]:
    if now >= leaf.not_valid_after_utc:
        yield f"it expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if now < leaf.not_valid_before_utc:
        yield f"it is valid only from {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on"


def _problems_of_chain(chain: Sequence[x509.Certificate]) -> Iterable[str]:
    for position, (child, parent) in enumerate(pairwise(chain), start=1):
        try:
            child.verify_directly_issued_by(parent)
        except (ValueError, TypeError, InvalidSignature):
            yield f"certificate {position} was not issued by the one that follows it"
