"""Which sets are this server's: those with its signing key, or with one that it had before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bundle_helper.errors import HelperError, InvalidEnvironmentError
from bundle_helper.restore.checks import require_same_server
from bundle_helper.settings.backup_settings import BackupSettings
from tests.helper.backup.test_manifest import MANIFEST

OLDER, OLD = "ed25519:a_OLDER " + "A" * 43, "ed25519:a_OLD " + "B" * 43
STRANGER = "ed25519:a_OTHER " + "C" * 43


def test_a_set_from_before_a_rotation_is_this_servers(folder_environ: dict[str, str]) -> None:
    """The present key and every old one; a stranger's is refused, and so is an old one that is not listed."""
    plain = BackupSettings.from_environ(folder_environ)
    rotated = BackupSettings.from_environ(folder_environ | {"OLD_VERIFY_KEYS": f"{OLDER}, {OLD}"})
    for key in (plain.verify_key, OLDER, OLD):
        require_same_server(rotated, replace(MANIFEST, verify_key=key))
    for settings, key in ((rotated, STRANGER), (plain, OLD)):
        with pytest.raises(HelperError, match="made with another signing key"):
            require_same_server(settings, replace(MANIFEST, verify_key=key))


@pytest.mark.parametrize("text", ["", OLD + ",", f"{OLD} {OLDER}", "a_OLD key"])
def test_a_malformed_list_is_named(folder_environ: dict[str, str], text: str) -> None:
    """No half of a list is believed."""
    with pytest.raises(InvalidEnvironmentError, match="OLD_VERIFY_KEYS"):
        BackupSettings.from_environ(folder_environ | {"OLD_VERIFY_KEYS": text})
