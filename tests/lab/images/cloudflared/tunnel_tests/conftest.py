"""Make the double and its trial importable for the tests in this folder."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tunnel_tests.fixtures import authority, files, origin, tunnel

__all__ = ["authority", "files", "origin", "tunnel"]
