"""The live certificate is replaced when it must be, and only then."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bundle_helper.certificates import keeper
from bundle_helper.certificates.published import LIVE
from bundle_helper.settings.service_settings import ServiceSettings
from tests.helper.conftest import write_authority

NOW = datetime.now(UTC)


def ensure(settings: ServiceSettings, now: datetime = NOW) -> keeper.CertificateState:
    return keeper.ensure_own(settings.certificate, now, lambda _: None)


def test_a_good_certificate_is_left_alone(settings: ServiceSettings) -> None:
    """A second round changes nothing, time stamps included."""
    ensure(settings)
    live = settings.certificate.directory / LIVE
    before = (live.stat().st_mtime_ns, live.stat().st_ino)
    assert ensure(settings, NOW + timedelta(days=59)).problem is None
    assert (live.stat().st_mtime_ns, live.stat().st_ino) == before


def test_a_due_certificate_is_renewed(settings: ServiceSettings) -> None:
    """With a third of its life left a certificate is replaced by one of 90 days."""
    first = ensure(settings).live
    later = NOW + timedelta(days=61)
    second = ensure(settings, later).live
    assert first is not None
    assert second is not None
    assert second.serial != first.serial
    assert second.valid_until - later > timedelta(days=89)


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_or_missing_certificate_is_replaced(
    settings: ServiceSettings, content: bytes | None
) -> None:
    """Whatever happened to live.pem, the next round makes a good one."""
    if content is not None:
        (settings.certificate.directory / LIVE).write_bytes(content)
    assert ensure(settings).live is not None


def test_a_certificate_of_another_authority_is_replaced(
    settings: ServiceSettings, secrets_directory: Path
) -> None:
    """After a change of authority the next round issues from the new one."""
    first = ensure(settings).live
    write_authority(secrets_directory)
    second = ensure(settings).live
    assert first is not None
    assert second is not None
    assert second.serial != first.serial


def test_a_failed_renewal_keeps_what_is_live(
    settings: ServiceSettings, secrets_directory: Path
) -> None:
    """A due certificate stays live, and the problem is reported, while none can be issued."""
    first = ensure(settings).live
    (secrets_directory / "authority.key").write_text("damaged\n")
    state = ensure(settings, NOW + timedelta(days=61))
    assert state.live is not None
    assert first is not None
    assert state.live.serial == first.serial
    assert "authority.key" in str(state.problem)


def test_near_its_end_the_authority_does_not_issue_every_minute(
    settings: ServiceSettings, secrets_directory: Path
) -> None:
    """A certificate that ends with its authority is not replaced by one that ends likewise."""
    write_authority(secrets_directory, lifetime=timedelta(days=21))
    first = ensure(settings).live
    second = ensure(settings, NOW + timedelta(days=19)).live
    assert first is not None
    assert second is not None
    assert second.serial == first.serial
