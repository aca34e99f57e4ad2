"""The bundle's own certificate authority: made once, good for this homeserver's names only."""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv4Network
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

# Every device has to trust a new authority, so this one lasts longer than a laptop.
LIFETIME: Final = timedelta(days=20 * 365)
_LOOPBACK: Final = "127.0.0.1"
_SIGN_ONLY: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def create_key() -> str:
    """Return a new private key as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def load_key(private: str) -> ec.EllipticCurvePrivateKey:
    """Return a private key from PEM; raises ValueError where an authority cannot use it."""
    try:
        key = load_pem_private_key(private.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("holds no readable private key") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("is not an elliptic-curve key")  # noqa: TRY004  # a file's fault, not the caller's
    return key


def load_certificate(pem: str) -> x509.Certificate:
    """Return a certificate from PEM; raises ValueError where it is not an authority's."""
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (ValueError, x509.ExtensionNotFound):
        raise ValueError("is not the certificate of an authority") from None
    if not constraints.value.ca:
        raise ValueError("is not the certificate of an authority")
    return certificate


def certify(private: str, names: tuple[str, ...], now: datetime) -> str:
    """Return a certificate, as PEM, that makes a private key an authority for `names`.

    Raises ValueError for an unusable key.
    """
    key = load_key(private)
    title = f"{names[0][:40]} bundle authority"
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, title)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGN_ONLY, critical=True)
        .add_extension(_constrain(names), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM).decode()


def _constrain(names: tuple[str, ...]) -> x509.NameConstraints:
    """Allow `names`, their subdomains and 127.0.0.1 (RFC 5280, 4.2.1.10).

    A device that trusts this authority trusts it for nothing else.
    """
    domains = [x509.DNSName(name) for name in names if name != _LOOPBACK]
    loopback = x509.IPAddress(IPv4Network(f"{_LOOPBACK}/32"))
    return x509.NameConstraints(permitted_subtrees=[*domains, loopback], excluded_subtrees=None)
