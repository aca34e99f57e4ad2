"""TLS to one address: whether the certificate is trusted, and what was presented in any case."""

from __future__ import annotations

import ssl
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from ..exchange import wrap
from .faults import Fault, explain_certificate
from .network import new_context

if TYPE_CHECKING:
    from .network import Network, Place

_STEP_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Secured:
    """An open connection; `trusted_by` names the roots, and is empty where there is a fault."""

    connected: ssl.SSLSocket
    trusted_by: str
    fault: Fault | None


@dataclass(frozen=True, kw_only=True)
class PresentedCertificate:
    """What is reported of one certificate of the chain."""

    subject: str
    issuer: str
    fingerprint: bytes
    names: tuple[str, ...]


def secure(network: Network, place: Place, name: str) -> Secured:
    """Shake hands for `name`, a host name or an IP address, asking each trust in turn.

    The certificate must carry the name; SNI is sent for a name alone, as the specification wants:
    https://spec.matrix.org/latest/server-server-api/#tls. ssl.SSLCertVerificationError, of the
    last trust, if none accepts it; any other OSError passes through.
    """
    distrust: ssl.SSLCertVerificationError | None = None
    for trust in network.trusts:
        try:
            connected = wrap(network.dial(place, _STEP_SECONDS), trust.context, name)
        except ssl.SSLCertVerificationError as error:
            distrust = error
        else:
            return Secured(connected=connected, trusted_by=trust.name, fault=None)
    raise distrust or OSError("no roots are trusted")


def secure_anyway(network: Network, place: Place, name: str) -> Secured:
    """Shake hands even with a certificate that is not trusted, so that the rest can be reported."""
    try:
        return secure(network, place, name)
    except ssl.SSLCertVerificationError as error:
        fault = explain_certificate(error, str(place))
    context = new_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connected = wrap(network.dial(place, _STEP_SECONDS), context, name)
    return Secured(connected=connected, trusted_by="", fault=fault)


def read_chain(connected: ssl.SSLSocket) -> tuple[PresentedCertificate, ...]:
    """Return the certificates as they were presented, leaf first."""
    if sys.version_info >= (3, 13):
        chain = connected.get_unverified_chain()
    else:
        # The same before it was public.
        inner = connected._sslobj.get_unverified_chain()  # type: ignore[attr-defined]  # noqa: SLF001
        chain = [ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in inner]
    return tuple(_read_certificate(der) for der in chain)


def _read_certificate(der: bytes) -> PresentedCertificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        return PresentedCertificate(
            subject=_common_name(certificate.subject),
            issuer=_common_name(certificate.issuer),
            fingerprint=certificate.fingerprint(hashes.SHA256()),
            names=_dns_names(certificate),
        )
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        digest = hashes.Hash(hashes.SHA256())
        digest.update(der)
        return PresentedCertificate(subject="", issuer="", fingerprint=digest.finalize(), names=())


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(extension.value.get_values_for_type(x509.DNSName))
