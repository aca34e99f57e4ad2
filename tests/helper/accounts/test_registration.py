"""The first accounts exist after one round, and a second round makes none."""

from __future__ import annotations

from pathlib import Path

import pytest

from bundle_helper.accounts import registration
from bundle_helper.accounts.registration import RegistrationError
from bundle_helper.exchange import ExchangeError
from bundle_helper.settings.service_settings import ServiceSettings
from tests.helper.conftest import Bundle


def test_admin_and_check_user_are_made_once(bundle: Bundle) -> None:
    """The administrator is one, the checks' account is not; the second call changes nothing."""
    assert registration.ensure_accounts(bundle.settings) == (
        "created the account @alice:example.org",
        "created the account @synapse-bundle-check:example.org",
    )
    users = dict(bundle.homeserver.users)
    assert users["alice"] == (bundle.settings.admin_password.reveal(), True)
    assert users["synapse-bundle-check"][1] is False
    assert registration.ensure_accounts(bundle.settings) == ()
    assert bundle.homeserver.users == users


def test_a_passnotification_that_was_changed_since_is_left_alone(bundle: Bundle) -> None:
    """An existing administrator keeps the password that he chose."""
    bundle.homeserver.users["alice"] = ("chosen later", True)
    registration.ensure_accounts(bundle.settings)
    assert bundle.homeserver.users["alice"] == ("chosen later", True)


def test_another_shared_secret_is_explained(bundle: Bundle) -> None:
    """If Synapse runs with another secret, the message says which and what to type."""
    Path(bundle.environ["REGISTRATION_SHARED_SECRET_FILE"]).write_text("changed-in-the-meantime\n")
    with pytest.raises(RegistrationError, match="docker compose up -d") as caught:
        registration.ensure_accounts(bundle.settings)
    assert "changed-in-the-meantime" not in caught.value.message


def test_silence_is_reported_as_such(settings: ServiceSettings) -> None:
    """While Synapse does not listen, the error names it and its address."""
    with pytest.raises(ExchangeError, match=r"synapse at 127\.0\.0\.1:1 did not answer"):
        registration.ensure_accounts(settings)


def test_the_check_password_depends_on_secret_and_server(settings: ServiceSettings) -> None:
    """It is derived, the same each time, and reveals nothing of the secret."""
    first, second = registration.check_password(settings), registration.check_password(settings)
    assert first.reveal() == second.reveal()
    assert settings.registration_shared_secret.reveal() not in first.reveal()
