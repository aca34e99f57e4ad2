"""What the tests with real processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloudflare.desks import open_desk
from tests.cloudflare.servers import SETTINGS, Shell, serve


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A directory with the settings of a new user, and a new account."""
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    with serve(open_desk(), tmp_path) as shell:
        yield shell
    assert shell.desk.fake.violations == []
