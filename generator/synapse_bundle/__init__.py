from __future__ import annotations

from datetime import UTC, datetime

__version__ = "0.1.0"
# What a clock is compared with: a machine that says it is earlier has a wrong one.
RELEASED = datetime(2026, 11, 24, tzinfo=UTC)
