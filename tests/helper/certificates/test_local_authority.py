"""The bundle's own authority issues what clients accept, and nothing it may not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from bundle_helper.certificates import local_authority, validation
from bundle_helper.errors import HelperError
from tests.helper.conftest import write_authority

NAMES = ("matrix.example.org", "example.org", "127.0.0.1", "::1")


def test_the_certificate_is_for_every_name_and_for_servers(
    issuer: local_authority.Authority,
) -> None:
    """Names, addresses, usage, identifiers and lifetime are those of a server certificate."""
    now = datetime.now(UTC).replace(microsecond=0)
    leaf = x509.load_pem_x509_certificate(local_authority.issue(issuer, NAMES, now))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    identifier = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    root = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert list(names) == [local_authority.general_name(name) for name in NAMES]
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert identifier.key_identifier == root.digest
    assert leaf.not_valid_after_utc == now + timedelta(days=90)


def test_what_it_issues_passes_the_publication_test(issuer: local_authority.Authority) -> None:
    """A fresh certificate is publishable at once."""
    now = datetime.now(UTC)
    pem = local_authority.issue(issuer, NAMES, now)
    assert validation.validate(pem, NAMES, now, issuer.certificate).chain == ()


def test_a_foreign_key_is_refused(secrets_directory: Path, tmp_path: Path) -> None:
    """A key that does not belong to the certificate is named, with what to put back."""
    other = tmp_path / "other"
    other.mkdir()
    write_authority(other)
    with pytest.raises(HelperError, match="is not the key of") as caught:
        local_authority.load(other / "authority.key", secrets_directory / "authority.pem")
    assert "secrets/authority.key" in caught.value.message


@pytest.mark.parametrize("name", ["authority.key", "authority.pem"])
@pytest.mark.parametrize("content", [b"", b"-----BEGIN nonsense", b"\x00\xff"])
def test_a_damaged_file_is_named(secrets_directory: Path, name: str, content: bytes) -> None:
    """Files that do not parse give one clear message with the path."""
    (secrets_directory / name).write_bytes(content)
    with pytest.raises(HelperError, match=name):
        local_authority.load(
            secrets_directory / "authority.key", secrets_directory / "authority.pem"
        )


def test_a_server_certificate_is_no_authority(
    secrets_directory: Path, issuer: local_authority.Authority
) -> None:
    """A leaf in the authority's place is refused."""
    path = secrets_directory / "authority.pem"
    path.write_bytes(local_authority.issue(issuer, NAMES, datetime.now(UTC)))
    with pytest.raises(HelperError, match="not a certificate of an authority"):
        local_authority.load_certificate(path)


@pytest.mark.parametrize(
    ("permitted", "name", "allowed"),
    [
        (("example.org",), "example.org", True),
        (("example.org",), "deep.matrix.example.org", True),
        (("example.org",), "badexample.org", False),
        (("example.org",), "org", False),
        (("matrix.example.org",), "example.org", False),
        (("matrix.example.org",), "*.example.org", False),
        (("example.org",), "*.example.org", True),
        (("example.org",), "127.0.0.1", True),
    ],
)
def test_name_constraints_are_obeyed(
    tmp_path: Path, permitted: tuple[str, ...], name: str, *, allowed: bool
) -> None:
    """A name outside the constraints is refused before clients would refuse it."""
    write_authority(tmp_path, permitted)
    root = local_authority.load(tmp_path / "authority.key", tmp_path / "authority.pem")
    assert local_authority.allows(root.certificate, name) is allowed
    if not allowed:
        with pytest.raises(HelperError, match="name constraints") as caught:
            local_authority.issue(root, (name,), datetime.now(UTC))
        assert name in caught.value.message


def test_an_expired_authority_points_at_the_clock(issuer: local_authority.Authority) -> None:
    """Outside its lifetime the authority issues nothing, and the message shows both times."""
    for moment in (datetime(1970, 1, 2, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)):
        with pytest.raises(HelperError, match="Check the clock") as caught:
            local_authority.issue(issuer, NAMES, moment)
        assert f"{moment:%Y-%m-%d}" in caught.value.message


def test_the_certificate_does_not_outlive_its_authority(tmp_path: Path) -> None:
    """An authority that ends in 30 days issues certificates that end with it."""
    write_authority(tmp_path, lifetime=timedelta(days=30))
    root = local_authority.load(tmp_path / "authority.key", tmp_path / "authority.pem")
    pem = local_authority.issue(root, ("example.org",), datetime.now(UTC))
    end = x509.load_pem_x509_certificate(pem).not_valid_after_utc
    assert end == root.certificate.not_valid_after_utc
