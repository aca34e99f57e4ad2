"""What a server certificate must fulfill before it is published, and as long as it is served."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

_RENEWAL_SHARE: Final = 3
_PRIVATE_KEY: Final = re.compile(
    rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL
)


class UnusableCertificateError(HelperError):
    """A PEM that must not be published, or must no longer be served."""


@dataclass(frozen=True, kw_only=True)
class ServerCertificate:
    """A PEM that passed every test: leaf, chain and key belong together."""

    pem: bytes
    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    @property
    def serial(self) -> str:
        """The serial number of the leaf, in hexadecimal as OpenSSL prints it."""
        return _format_serial(self.leaf.serial_number)

    @property
    def valid_until(self) -> datetime:
        """The moment from which clients refuse the leaf, in UTC."""
        return self.leaf.not_valid_after_utc

    def is_due(self, now: datetime) -> bool:
        """Say whether a third of the lifetime or less is left, so that a renewal has time."""
        lifetime = self.leaf.not_valid_after_utc - self.leaf.not_valid_before_utc
        return self.valid_until - now <= lifetime / _RENEWAL_SHARE


def _format_serial(number: int) -> str:
    """Return a serial number as OpenSSL prints it: hexadecimal digits in pairs."""
    text = f"{number:X}"
    return text.zfill(len(text) + len(text) % 2)


def read_pem(certificate_file: Path, key_file: Path) -> bytes:
    """Return the content of both files as one PEM, key last; HelperError names an unreadable one."""
    parts = []
    for path in (certificate_file, key_file):
        try:
            parts.append(path.read_bytes().strip() + b"\n")
        except OSError as error:
            raise HelperError(f"{path} cannot be read: {error.strerror}") from error
    return b"".join(parts)


def validate(
    pem: bytes, names: Sequence[str], now: datetime, issuer: x509.Certificate | None = None
) -> ServerCertificate:
    """Return what `pem` holds; UnusableCertificateError names everything that is wrong with it.

    It must be leaf, chain and one key, in this order; the leaf valid now and for every name in
    `names`; each certificate issued by the next, and the last by `issuer` if one is given.
    """
    certificates = _load_certificates(pem)
    leaf = certificates[0]
    chain = (*certificates[1:], *([issuer] if issuer else []))
    problems = [
        *_find_key_problems(pem, leaf),
        *_find_name_problems(leaf, names),
        *_find_time_problems(leaf, now),
        *_find_chain_problems((leaf, *chain)),
    ]
    if problems:
        raise UnusableCertificateError("; ".join(problems))
    return ServerCertificate(pem=pem, leaf=leaf, chain=tuple(certificates[1:]))


def _load_certificates(pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise UnusableCertificateError("it does not hold a readable certificate") from error


def _find_key_problems(pem: bytes, leaf: x509.Certificate) -> Iterable[str]:
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


def _find_name_problems(leaf: x509.Certificate, names: Sequence[str]) -> Iterable[str]:
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        yield "it does not name a host"
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


def _find_time_problems(leaf: x509.Certificate, now: datetime) -> Iterable[str]:
    if now >= leaf.not_valid_after_utc:
        yield f"it expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if now < leaf.not_valid_before_utc:
        yield f"it is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"


def _find_chain_problems(chain: Sequence[x509.Certificate]) -> Iterable[str]:
    for position, (child, parent) in enumerate(pairwise(chain), start=1):
        try:
            child.verify_directly_issued_by(parent)
        except (ValueError, TypeError, InvalidSignature):
            yield f"certificate {position} was not issued by the one that follows it"
