"""Every supported shape of the product, as a settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

DIRECTORY: Final = Path(__file__).parent
SHAPES: Final = sorted(DIRECTORY.glob("*.yaml"))
# Whose database somebody else runs, and backs up.
EXTERNAL: Final = [s for s in SHAPES if s.stem in {"cloudnative_pg", "external_database"}]
BACKED_UP: Final = [shape for shape in SHAPES if shape not in EXTERNAL]
