"""The last set and the last drill."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..findings import Finding, failed, passed
from ..monitoring.backup_report import check_backup, check_drill, describe

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings


def probe_backup(settings: ServiceSettings) -> Finding:
    """Check that the last set is good and not older than two days."""
    problem = check_backup(settings, datetime.now(UTC))
    if problem:
        return failed(
            problem,
            cause="the service `backup` fails or is not running",
            next_step="`docker compose logs backup`; then `docker compose run --rm backup now`",
        )
    return passed(f"last set: {describe(settings, 'last_set')}")


def probe_drill(settings: ServiceSettings) -> Finding:
    """Check that the last drill was good and is not older than two of its periods."""
    problem = check_drill(settings, datetime.now(UTC))
    if problem:
        return failed(
            problem,
            cause="the newest set cannot be restored, or drills are not made",
            next_step="`docker compose logs backup`; then `docker compose run --rm backup drill`",
        )
    return passed(f"last drill: {describe(settings, 'last_drill')}")
