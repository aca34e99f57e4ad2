"""What the process that keeps the certificate does and leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from bundle_helper.certificates.keeper import CertificateState
from bundle_helper.certificates.schedule import Deadlines
from bundle_helper.errors import HelperError
from bundle_helper.service import certificate_duty
from bundle_helper.service.duty import stamp

if TYPE_CHECKING:
    from pathlib import Path

    from bundle_helper.settings.service_settings import ServiceSettings

START = datetime(2026, 1, 1, tzinfo=UTC)


def read(settings: ServiceSettings, duty: str) -> Any:
    return json.loads((settings.state_directory / f"{duty}.json").read_text())


def test_a_look_publishes_and_names_what_it_depends_on(settings: ServiceSettings) -> None:
    """One look makes the certificate; it leaves the stamps of before, so that no change is lost."""
    certificate_duty.keep_certificate(settings.certificate, {})
    live = str(settings.certificate.directory / "live.pem")
    left = read(settings, "certificate")
    assert (left["problem"], left["origin"]) == (None, "own-authority")
    assert left["files"][live] is None
    certificate_duty.keep_certificate(settings.certificate, {})
    again = read(settings, "certificate")
    assert again["serial"] == left["serial"]
    assert again["files"][live] == stamp(live)
    assert set(again["files"]) == {
        live,
        str(settings.certificate.authority_key_file),
        str(settings.certificate.authority_certificate_file),
    }


def test_the_next_look_is_when_something_will_be_different() -> None:
    """The warning, the failure, the end and the next question each call for a look."""
    state = CertificateState(
        live=None, deadlines=Deadlines(warning=START, failure=START + timedelta(hours=2))
    )
    at = START - timedelta(hours=1)
    assert certificate_duty.next_moment(state, at) == START
    assert certificate_duty.next_moment(state, START) == START + timedelta(hours=2)
    asked = replace(state, next_attempt=START + timedelta(hours=1))
    assert certificate_duty.next_moment(asked, START) == START + timedelta(hours=1)
    assert certificate_duty.next_moment(state, START + timedelta(hours=2)) is None


def test_without_a_certificate_the_next_look_is_soon(settings: ServiceSettings) -> None:
    """As long as there is nothing to serve it tries every minute, whatever the problem is."""
    settings.certificate.directory.rmdir()
    now = datetime.now(UTC)
    certificate_duty.keep_certificate(settings.certificate, {}, now=lambda: now)
    left = read(settings, "certificate")
    assert left["valid_until"] is None
    assert "No such file or directory" in left["problem"]
    assert left["due"] == (now + timedelta(minutes=1)).timestamp()


def test_a_place_that_refuses_is_reported(settings: ServiceSettings, tmp_path: Path) -> None:
    """Without a place for what it found the process ends with a reason."""
    elsewhere = replace(settings.certificate, state_directory=tmp_path / "missing")
    with pytest.raises(HelperError, match=r"certificate\.json cannot be written"):
        certificate_duty.keep_certificate(elsewhere, {})
