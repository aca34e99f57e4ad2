from __future__ import annotations

from datetime import UTC, datetime

__version__ = "0.2.0"
# A machine whose clock is earlier has a wrong one.
RELEASED = datetime(2026, 11, 27, tzinfo=UTC)
