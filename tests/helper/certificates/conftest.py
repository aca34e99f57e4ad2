"""What the tests of the certificates share: the bundle's own authority, and an ACME one with its lineage."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle_helper.certificates import local_authority
from bundle_helper.certificates.lineage import Lineage, find_lineage
from bundle_helper.settings.certificate_settings import CertificateSettings
from bundle_helper.settings.issuers import Acme
from bundle_helper.settings.service_settings import ServiceSettings


@pytest.fixture
def issuer(secrets_directory: Path) -> local_authority.Authority:
    return local_authority.load(
        secrets_directory / "authority.key", secrets_directory / "authority.pem"
    )


@pytest.fixture
def acme_settings(acme_environ: dict[str, str]) -> CertificateSettings:
    return ServiceSettings.from_environ(acme_environ).certificate


@pytest.fixture
def acme(acme_settings: CertificateSettings) -> Acme:
    assert isinstance(acme_settings.issuer, Acme)
    return acme_settings.issuer


@pytest.fixture
def lineage(acme_settings: CertificateSettings, acme: Acme) -> Lineage:
    return find_lineage(acme, acme_settings.homeserver)


def write_lineage(lineage: Lineage) -> tuple[Path, Path]:
    """Write a lineage as certbot does; return its configuration and its live directory."""
    root, name, live = lineage.directory, lineage.name, lineage.live
    archive = root / "archive" / name
    configuration = root / "renewal" / f"{name}.conf"
    for place in (live, archive, configuration.parent):
        place.mkdir(parents=True)
    lines = []
    for kind in ("cert", "privkey", "chain", "fullchain"):
        (archive / f"{kind}1.pem").write_text(kind)
        (live / f"{kind}.pem").symlink_to(archive / f"{kind}1.pem")
        lines.append(f"{kind} = {live / kind}.pem\n")
    configuration.write_text("".join(lines))
    return configuration, live
