"""The bundle's own certificate authority: loads it and lets it issue a server certificate."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_LIFETIME: Final = timedelta(days=90)
# A client whose clock is slow must not see a certificate from the future.
_BACKDATED: Final = timedelta(hours=1)
_LONGEST_COMMON_NAME: Final = 64
_RESTORE: Final = "Put the bundle's own secrets/authority.key and secrets/authority.pem back."


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority that may sign: its key belongs to its certificate."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def load(key_file: Path, certificate_file: Path) -> Authority:
    """Load the authority; HelperError if it does not parse or key and certificate differ."""
    certificate = load_certificate(certificate_file)
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise HelperError(f"{key_file} does not hold a readable private key. {_RESTORE}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise HelperError(f"{key_file} does not hold an elliptic-curve key. {_RESTORE}")
    if key.public_key() != certificate.public_key():
        raise HelperError(f"{key_file} is not the key of {certificate_file}. {_RESTORE}")
    return Authority(key=key, certificate=certificate)


def load_certificate(certificate_file: Path) -> x509.Certificate:
    """Load the authority's certificate alone; HelperError if it is not one of an authority."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise HelperError(
            f"{certificate_file} does not hold a certificate of an authority. {_RESTORE}"
        ) from error
    if not constraints.value.ca:
        raise HelperError(f"{certificate_file} is not a certificate of an authority. {_RESTORE}")
    return certificate


def issue(authority: Authority, names: Sequence[str], now: datetime) -> bytes:
    """Return one PEM with a new server certificate for `names` and its key, valid 90 days.

    The root itself is not in it: clients have it or do not trust it (RFC 8446, section 4.4.2).
    HelperError if the authority has expired or its name constraints do not allow every name.
    """
    _check_allowed(authority.certificate, names, now)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _build_certificate(authority, key.public_key(), names, now)
    return certificate.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _build_certificate(
    authority: Authority, key: ec.EllipticCurvePublicKey, names: Sequence[str], now: datetime
) -> x509.Certificate:
    issuer = authority.certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(names[0]))
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - _BACKDATED, issuer.not_valid_before_utc))
        .not_valid_after(min(now + _LIFETIME, issuer.not_valid_after_utc))
    )
    for extension, critical in _extensions(issuer, key, names):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(authority.key, hashes.SHA256())


def _subject(name: str) -> x509.Name:
    if len(name) > _LONGEST_COMMON_NAME:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _extensions(
    issuer: x509.Certificate, key: ec.EllipticCurvePublicKey, names: Sequence[str]
) -> Iterable[tuple[x509.ExtensionType, bool]]:
    yield x509.SubjectAlternativeName([general_name(name) for name in names]), False
    yield x509.BasicConstraints(ca=False, path_length=None), True
    yield _DIGITAL_SIGNATURE, True
    yield x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False
    yield x509.SubjectKeyIdentifier.from_public_key(key), False
    yield _authority_key_identifier(issuer), False


_DIGITAL_SIGNATURE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def _authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound as error:
        raise HelperError(f"the authority lacks the subject key identifier. {_RESTORE}") from error
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value)


def general_name(name: str) -> x509.DNSName | x509.IPAddress:
    """Return a name of a certificate in the form that its extension wants."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _check_allowed(issuer: x509.Certificate, names: Sequence[str], now: datetime) -> None:
    if not issuer.not_valid_before_utc <= now < issuer.not_valid_after_utc:
        raise HelperError(
            f"the bundle's authority is valid from {issuer.not_valid_before_utc:%Y-%m-%d %H:%M}"
            f" to {issuer.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, and this machine says it is"
            f" {now.astimezone(UTC):%Y-%m-%d %H:%M}. Check the clock (`date -u`).",
        )
    refused = [name for name in names if not allows(issuer, name)]
    if refused:
        raise HelperError(
            "the name constraints of the bundle's authority do not allow"
            f" {', '.join(refused)}. It was made for other names: {_RESTORE}",
        )


def allows(issuer: x509.Certificate, name: str) -> bool:
    """Say whether the issuer's name constraints allow `name` (RFC 5280, section 4.2.1.10)."""
    try:
        extension = issuer.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return True
    wanted = general_name(name)
    permitted = _same_kind(extension.value.permitted_subtrees, wanted)
    excluded = _same_kind(extension.value.excluded_subtrees, wanted)
    if any(_lies_within(wanted, subtree) for subtree in excluded):
        return False
    return not permitted or any(_lies_within(wanted, subtree) for subtree in permitted)


def _same_kind(
    subtrees: Iterable[x509.GeneralName] | None, wanted: x509.GeneralName
) -> list[x509.GeneralName]:
    return [subtree for subtree in subtrees or () if isinstance(subtree, type(wanted))]


def _lies_within(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    if isinstance(name, x509.IPAddress):
        return name.value in subtree.value
    base = subtree.value.lower().removeprefix(".")
    return base == "" or f".{name.value.removeprefix('*.')}".endswith(f".{base}")
