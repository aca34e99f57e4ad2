"""What the tests with real processes share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cloudflare.command_line import SETTINGS, Shell, serve
from tests.cloudflare.simulation import simulate


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    """A directory with the settings of a new user, and a new account."""
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    with serve(simulate(), tmp_path) as shell:
        yield shell
    assert shell.simulation.fake.violations == []
