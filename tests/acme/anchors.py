"""The certificate with which the fake internet's own ACME directories prove who they are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence

_AUTHORITY = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Root of the directories")])
_LEAF = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "directory")])


def make_anchor(names: Sequence[str]) -> tuple[bytes, bytes]:
    """Return a root's PEM, and key and certificate of a server with these names in one PEM."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _start(_AUTHORITY, root_key).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    usage = x509.KeyUsage(
        **dict.fromkeys(_USES, False) | {"key_cert_sign": True, "crl_sign": True},
    )
    identity = x509.SubjectKeyIdentifier.from_public_key(root_key.public_key())
    issued = root.add_extension(usage, critical=True).add_extension(identity, critical=False)
    leaf = (
        _start(_LEAF, key)
        .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, names))), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
            critical=False,
        )
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    served = leaf.sign(root_key, hashes.SHA256()).public_bytes(pem)
    return issued.sign(root_key, hashes.SHA256()).public_bytes(pem), private + served


_USES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)


def _start(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(_AUTHORITY)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=365))
    )
