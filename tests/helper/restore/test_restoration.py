"""A set becomes the server again on another machine."""

from __future__ import annotations

import pytest

from tests.helper.machines import Machine

pytestmark = pytest.mark.engine


def test_a_set_is_restored_on_an_empty_machine(old_machine: Machine, new_machine: Machine) -> None:
    """Every table and file is there; the server is a new instance of the next epoch and starts."""
    old_machine.succeed("backup", "now")
    said = new_machine.succeed("restore")
    assert said == ""
