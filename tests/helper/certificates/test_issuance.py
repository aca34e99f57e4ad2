"""No certificate is asked for that could not be kept, and a rehearsal leaves no trace."""

from __future__ import annotations

import pytest

from bundle_helper.certificates import issuance
from bundle_helper.certificates.certbot import Attempt
from bundle_helper.certificates.lineage import Lineage
from bundle_helper.settings.certificate_settings import CertificateSettings
from bundle_helper.settings.issuers import Acme
from tests.helper.certificates.conftest import write_lineage


def test_nothing_is_ordered_where_nothing_can_be_kept(
    acme_settings: CertificateSettings, acme: Acme, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Space for a certificate is proved before anybody is asked for one."""

    def refuse(_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bundle_helper.certificates.issuance.os.fsync", refuse)
    with pytest.raises(issuance.NotReadyError, match="No space left on device"):
        issuance.obtain(acme_settings, acme, Attempt(), {}, lambda _: None)
    assert list(acme.lineages_directory.iterdir()) == []


@pytest.mark.parametrize("rehearsal", [False, True])
def test_a_rehearsal_leaves_a_damaged_lineage_where_it_is(
    acme_settings: CertificateSettings,
    acme: Acme,
    lineage: Lineage,
    monkeypatch: pytest.MonkeyPatch,
    rehearsal: bool,
) -> None:
    """Only an attempt that may save a certificate makes room for it."""
    configuration, _ = write_lineage(lineage)
    configuration.write_text("")
    monkeypatch.setattr(issuance, "_check_dns", lambda *_: None)
    monkeypatch.setattr(issuance, "_run", lambda *_: ("", 0))
    issuance.obtain(acme_settings, acme, Attempt(rehearsal=rehearsal), {}, lambda _: None)
    assert configuration.exists() is rehearsal
    assert (lineage.directory / "set-aside").exists() is not rehearsal
