"""What the tests of the certificates share: the bundle's own authority."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle_helper.certificates import local_authority


@pytest.fixture
def issuer(secrets_directory: Path) -> local_authority.Authority:
    return local_authority.load(
        secrets_directory / "authority.key", secrets_directory / "authority.pem"
    )
