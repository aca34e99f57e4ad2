"""A bundle with a DNS token and a tunnel, whose database has been reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bundle_helper.settings.service_settings import ServiceSettings
from tests.helper.claim.register import INSTANCE

CREDENTIAL = '{"TunnelID": "6ba7b810"}\n'


def report(settings: ServiceSettings, instance: str = INSTANCE, epoch: int = 1) -> None:
    """Leave what bootstrap leaves."""
    content: dict[str, object] = {
        "proof": {},
        "problem": None,
        "instance": instance,
        "epoch": epoch,
    }
    settings.database_report_file.write_text(json.dumps(content))


@pytest.fixture
def claim_environ(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """Return the environment of a helper behind a tunnel, without a DNS token."""
    (tmp_path / "claim").mkdir()
    (tmp_path / "tunnel.json").write_text(CREDENTIAL)
    return environ | {
        "CLAIM_DIRECTORY": str(tmp_path / "claim"),
        "TUNNEL_CREDENTIAL_FILE": str(tmp_path / "tunnel.json"),
        "RELEASED_CREDENTIAL_FILE": str(tmp_path / "claim" / "tunnel.json"),
        "STOOD_DOWN_FILE": str(tmp_path / "certificates" / "stood-down"),
        "INSTANCE_HASH_FILE": str(tmp_path / "certificates" / "instance"),
    }


@pytest.fixture
def tunneled(claim_environ: dict[str, str]) -> ServiceSettings:
    """Read the settings of a bundle behind a tunnel, whose certificate needs no token."""
    settings = ServiceSettings.from_environ(claim_environ)
    report(settings)
    return settings


@pytest.fixture
def claiming(claim_environ: dict[str, str], acme_environ: dict[str, str]) -> ServiceSettings:
    """Read the settings of a bundle that claims its name."""
    settings = ServiceSettings.from_environ(acme_environ | claim_environ_only(claim_environ))
    report(settings)
    return settings


def claim_environ_only(environ: dict[str, str]) -> dict[str, str]:
    """Return what is about the claim."""
    names = ("CLAIM_DIRECTORY", "TUNNEL_CREDENTIAL_FILE", "RELEASED_CREDENTIAL_FILE",
             "STOOD_DOWN_FILE", "INSTANCE_HASH_FILE")  # fmt: skip
    return {name: environ[name] for name in names}
