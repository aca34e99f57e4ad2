"""The bench's rows of backup and restore, with a few hundred events: they measure what they say."""

from __future__ import annotations

import re
import sys

import pytest

from tests.support.processes import run
from tests.support.stacks import REPOSITORY

pytestmark = pytest.mark.engine

ROWS = ("9a", "9b", "9c", "9d", "9f", "10", "11")


def test_rows_of_a_small_server() -> None:
    """Every row has a figure, and nothing is left of what was measured."""
    small = ["--rows", "9,10,11", "--size", "2", "--quick", "--rounds", "1"]
    done = run([sys.executable, "-m", "tests.bench", *small], cwd=REPOSITORY)
    medians = dict(re.findall(r"^(\d+[a-z]?) {2,}.+? {2,}([\d.e+-]+)", done.stdout, re.MULTILINE))
    assert set(medians) == set(ROWS), done.stdout
    assert all(float(median) > 0 for median in medians.values()), done.stdout
    left = ["docker", "ps", "--all", "--format={{.Names}}", "--filter=name=bench-filled"]
    assert "bench-filled" not in run(left).stdout
