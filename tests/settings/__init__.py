"""Every supported shape of the product, as a settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DIRECTORY: Final = Path(__file__).parent
SHAPES: Final = sorted(DIRECTORY.glob("*.yaml"))
