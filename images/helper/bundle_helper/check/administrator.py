"""The first administrator, as the service found it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from .. import health, storage
from ..errors import HelperError
from ..findings import Finding, failed, passed
from ..status import STATUS_FILE

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings


def probe_admin(settings: ServiceSettings) -> Finding:
    """Read the service's status; an old one proves nothing."""
    try:
        status = storage.read_json(settings.state_directory / STATUS_FILE)
    except HelperError as error:
        return _failure(error.message, "the helper's service is not running")
    problem = health.judge(status, datetime.now(UTC))
    if status["accounts"]["ensured"] and problem is None:
        return passed(f"@{settings.admin}:{settings.server_name}")
    return _failure(str(problem), str(status["accounts"]["problem"] or problem))


def _failure(detail: str, cause: str) -> Finding:
    return failed(detail, cause=cause, next_step="`docker compose logs helper synapse`")
