"""Certificates with faults, and the authority that issues them.

Ordinary ones are trustme's. It makes no weak key, no certificate that has its name in the common
name alone, no authority with a common name, which the landing page shows, and no key in PKCS 8.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
NOW: Final = dt.datetime.now(dt.UTC)
DAY: Final = dt.timedelta(days=1)


def name_subject(name: str) -> x509.Name:
    """Return a subject with as much of `name` as fits into a common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def name_host(name: str) -> x509.GeneralName:
    """Return an alternative name for a host name or an IP address."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def encode_key(key: Key) -> str:
    """Return `key` as an unencrypted PKCS 8 block."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """A certificate with its key; `chain` is what follows it in the file."""

    certificate: x509.Certificate
    key: Key
    chain: str = ""

    @property
    def pem(self) -> str:
        """Return the certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def bundle(self) -> str:
        """Return one file's content: certificate, chain and key."""
        return self.pem + self.chain + encode_key(self.key)

    @property
    def serial(self) -> int:
        """Return the certificate's serial number."""
        return self.certificate.serial_number


def issue(
    name: str,
    issuer: Leaf | None = None,
    *,
    begin: dt.datetime = NOW - DAY,
    end: dt.datetime = NOW + 30 * DAY,
    key: Key | None = None,
    chain: str = "",
    named: bool = True,
) -> Leaf:
    """Issue a certificate for `name`; without an `issuer` it is an authority of its own.

    Unless it is `named`, the name is the common name alone, which clients no longer read.
    """
    own = key or ec.generate_private_key(ec.SECP256R1())
    subject = name_subject(name)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=not issuer, path_length=None), critical=True)
    )
    if named:
        names = x509.SubjectAlternativeName([name_host(name)])
        builder = builder.add_extension(names, critical=False)
    signed = builder.sign(issuer.key if issuer else own, hashes.SHA256())
    return Leaf(certificate=signed, key=own, chain=chain)


def trust(authority: Leaf) -> ssl.SSLContext:
    """Return a client's settings that verify against `authority` alone."""
    context = ssl.create_default_context(cadata=authority.pem)
    context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
    return context
