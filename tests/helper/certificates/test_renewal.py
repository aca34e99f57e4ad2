"""What is remembered of the attempts when nothing can be written, and what certbot leaves behind."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from bundle_helper.certificates import history, issuance
from bundle_helper.certificates.certbot import Attempt
from bundle_helper.certificates.renewal import Renewal
from bundle_helper.settings.certificate_settings import CertificateSettings
from bundle_helper.settings.issuers import Acme

NOW = datetime.now(UTC)


@pytest.fixture
def renewal(acme_settings: CertificateSettings, acme: Acme) -> Renewal:
    """The renewal of these settings; it says nothing and its clock stands still."""
    return Renewal(acme_settings, acme, {}, lambda _: None, lambda: NOW)


def test_an_attempt_that_cannot_be_written_down_is_not_made_again_at_once(
    renewal: Renewal, acme_settings: CertificateSettings, acme: Acme
) -> None:
    """Where the volume is missing the next attempt waits, and the problem is reported."""
    shutil.rmtree(acme.lineages_directory)
    acme.lineages_directory.write_text("")
    with pytest.raises(issuance.IssuanceError):
        renewal.attempt(Attempt())
    state = renewal.ensure(NOW)
    assert "letsencrypt" in str(state.problem)
    assert not renewal.must_ask(state, NOW + timedelta(minutes=1))
    assert renewal.must_ask(state, NOW + timedelta(minutes=11))


def test_the_later_memory_counts_and_is_written_when_there_is_room_again(
    renewal: Renewal, acme_settings: CertificateSettings, acme: Acme
) -> None:
    """A failure that only memory knows decides, and reaches the volume with the next look."""
    known = renewal.read_history().after_failure(NOW, "no token")
    older = known.after_success(NOW - timedelta(days=1))
    history.write(acme_settings.state_directory, acme.lineages_directory, older)
    kept = acme.lineages_directory.rename(acme.lineages_directory.with_name("kept"))
    acme.lineages_directory.write_text("")
    with pytest.raises(Exception, match="cannot be written"):
        history.write(acme_settings.state_directory, acme.lineages_directory, known)
    assert renewal.read_history() == known
    assert "cannot be written" in str(renewal.ensure(NOW).problem)
    acme.lineages_directory.unlink()
    kept.rename(acme.lineages_directory)
    assert renewal.read_history() == known
    assert renewal.ensure(NOW).problem == "no token"
    (acme_settings.state_directory / history.HISTORY).unlink()
    assert renewal.read_history() == known


def test_a_success_without_a_certificate_is_a_failure(
    renewal: Renewal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What certbot says counts only where what it made is found."""
    monkeypatch.setattr("bundle_helper.certificates.issuance.obtain", lambda *_: None)
    with pytest.raises(issuance.IssuanceError, match="not where it belongs"):
        renewal.attempt(Attempt())
    assert renewal.read_history().failures == 1


def test_a_placeholder_without_a_reason_is_counted_too(renewal: Renewal) -> None:
    """It is known since when it is served, whatever the reason."""
    assert renewal.ensure(NOW).failing_since is not None
