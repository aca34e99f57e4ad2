"""What the one-shot start reports when two things are wrong at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bundle_helper.database import bootstrap
from bundle_helper.errors import HelperError
from bundle_helper.settings.bootstrap_settings import BootstrapSettings, VolumeOwner
from bundle_helper.settings.environment import Secret


def test_a_report_that_cannot_be_kept_hides_no_problem(tmp_path: Path) -> None:
    """With a full report volume the reason of the failure is still reported first."""
    # A file cannot hold a file: as good as a full volume, for root too.
    (tmp_path / "report").touch()
    settings = BootstrapSettings(
        server_name="example.org",
        database_host="localhost",
        database_port=1,
        database_patience=600,
        database_name="synapse",
        database_role="synapse",
        superuser_password=Secret("one"),
        role_password=Secret("two"),
        volume_owners=(VolumeOwner(path=tmp_path / "media", uid=991),),
        report_file=tmp_path / "report" / "database.json",
        instance_file=tmp_path / "instance",
        claim_directory=None,
    )
    with pytest.raises(HelperError) as caught:
        bootstrap.run(settings, lambda: datetime.now(UTC), lambda _: None)
    first, _, second = caught.value.message.partition("is not mounted")
    assert first.startswith(str(tmp_path / "media"))
    assert "database.json cannot be written (Not a directory)" in second
