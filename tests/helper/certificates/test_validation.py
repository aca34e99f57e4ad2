"""What is wrong with a certificate is named, all of it at once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from bundle_helper.certificates import local_authority, validation
from bundle_helper.certificates.validation import UnusableCertificateError
from tests.helper.conftest import write_authority

NAMES = ("matrix.example.org", "example.org", "127.0.0.1")
NOW = datetime.now(UTC)


@pytest.fixture
def pem(issuer: local_authority.Authority) -> bytes:
    return local_authority.issue(issuer, NAMES, NOW)


def split(pem: bytes) -> tuple[bytes, bytes]:
    """Return the certificates and the key of a combined PEM."""
    position = pem.index(b"-----BEGIN PRIVATE KEY-----")
    return pem[:position], pem[position:]


def test_a_wildcard_covers_one_label(issuer: local_authority.Authority) -> None:
    """`*.example.org` is for matrix.example.org, not for the domain itself."""
    pem = local_authority.issue(issuer, ("*.example.org",), NOW)
    validation.validate(pem, ("matrix.example.org",), NOW)
    with pytest.raises(UnusableCertificateError, match=r"not for example\.org"):
        validation.validate(pem, ("example.org",), NOW)


def test_key_of_another_certificate_is_refused(
    issuer: local_authority.Authority, pem: bytes
) -> None:
    """Apache would die of a key that does not match, so it is never published."""
    certificate, _ = split(pem)
    _, other_key = split(local_authority.issue(issuer, NAMES, NOW))
    with pytest.raises(UnusableCertificateError, match="private key is not the one"):
        validation.validate(certificate + other_key, NAMES, NOW)


def test_order_and_number_of_the_parts_matter(
    issuer: local_authority.Authority, pem: bytes
) -> None:
    """Leaf first, one key last: anything else is refused with its reason."""
    certificate, key = split(pem)
    with pytest.raises(UnusableCertificateError, match="does not come last"):
        validation.validate(key + certificate, NAMES, NOW)
    with pytest.raises(UnusableCertificateError, match="0 private keys"):
        validation.validate(certificate, NAMES, NOW)
    with pytest.raises(UnusableCertificateError, match="2 private keys"):
        validation.validate(pem + key, NAMES, NOW)
    with pytest.raises(UnusableCertificateError, match="not hold a readable certificate"):
        validation.validate(key, NAMES, NOW)


def test_a_chain_in_the_wrong_order_is_refused(
    issuer: local_authority.Authority, pem: bytes, tmp_path: Path
) -> None:
    """Each certificate must be issued by the one that follows it."""
    write_authority(tmp_path)
    stranger = (tmp_path / "authority.pem").read_bytes()
    certificate, key = split(pem)
    with pytest.raises(UnusableCertificateError, match="certificate 1 was not issued"):
        validation.validate(certificate + stranger + key, NAMES, NOW)
    foreign = x509.load_pem_x509_certificate(stranger)
    with pytest.raises(UnusableCertificateError, match="certificate 1 was not issued"):
        validation.validate(pem, NAMES, NOW, foreign)


@pytest.mark.parametrize(
    ("moment", "reason"),
    [(NOW + timedelta(days=91), "expired on"), (NOW - timedelta(hours=2), "not valid before")],
)
def test_a_certificate_outside_its_time_is_refused(
    pem: bytes, moment: datetime, reason: str
) -> None:
    """An expired or future certificate is not published."""
    with pytest.raises(UnusableCertificateError, match=reason):
        validation.validate(pem, NAMES, moment)


def test_truncation_at_any_place_is_noticed(pem: bytes) -> None:
    """A PEM cut off anywhere is refused, except where only its last newline is lost."""
    for length in range(0, len(pem.rstrip()), 7):
        with pytest.raises(UnusableCertificateError):
            validation.validate(pem[:length], NAMES, NOW)


def test_all_that_is_wrong_is_reported_at_once(
    issuer: local_authority.Authority, pem: bytes
) -> None:
    """Key, names and time are judged together."""
    certificate, _ = split(pem)
    with pytest.raises(UnusableCertificateError) as caught:
        validation.validate(certificate, ("other.org",), NOW + timedelta(days=365))
    assert caught.value.message.count(";") == 2


def test_a_third_of_the_lifetime_is_the_time_to_renew(pem: bytes) -> None:
    """After two thirds of 90 days the certificate is due, a day earlier it is not."""
    live = validation.validate(pem, NAMES, NOW)
    assert not live.is_due(NOW + timedelta(days=59))
    assert live.is_due(NOW + timedelta(days=60, hours=1))
