"""What an issuer needs is read with it, and only then."""

from __future__ import annotations

import pytest

from bundle_helper.errors import InvalidEnvironmentError
from bundle_helper.settings.service_settings import ServiceSettings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CERTIFICATE_ISSUER", "http://ca.example.org/dir"),
        ("CERTIFICATE_KEY_TYPE", "dsa"),
        ("DNS_TOKEN_FILE", "/nowhere"),
        ("ACME_EMAIL", ""),
        ("LINEAGES_DIRECTORY", "letsencrypt"),
    ],
)
def test_bad_values_are_named(acme_environ: dict[str, str], name: str, value: str) -> None:
    """What an authority needs is complete or explained."""
    with pytest.raises(InvalidEnvironmentError) as caught:
        ServiceSettings.from_environ({**acme_environ, name: value})
    assert caught.value.problems[0].startswith(name)
