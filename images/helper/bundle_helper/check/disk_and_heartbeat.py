"""What the helper watches and no other row proves: the disk, the heartbeat, and the watch itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import storage
from ..errors import HelperError
from ..findings import Finding, failed, passed
from ..monitoring import watch
from ..monitoring.disk import check_disk
from ..status import STATUS_FILE, WATCH

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings


def probe_watch(settings: ServiceSettings) -> Finding:
    """Check the disk now, and the outcome of the last heartbeat and the last round of the watch."""
    scarce = check_disk(settings)
    if scarce:
        return failed(
            scarce,
            cause="media, the database, or something else on this machine has filled it",
            next_step="see docs/running.md for what grows and what may be deleted; `docker system df`",
        )
    broken = _read_problem(settings)
    if broken:
        return failed(
            f"the watch is not running: {broken}",
            cause="its process fails, and with it every message and heartbeat",
            next_step="`docker compose logs helper`",
        )
    beat = watch.read_last(settings).get(watch.HEARTBEAT)
    if beat and beat["problem"]:
        return failed(
            f"{beat['problem']}, since {beat['since']}",
            cause="the address in the file that `heartbeat` names is not the service's, or it is down",
            next_step="check that service; then `make generate` and `docker compose up -d`",
        )
    return passed("there is room on the disk" + (", and the heartbeat arrives" if beat else ""))


def _read_problem(settings: ServiceSettings) -> str | None:
    try:
        found = storage.read_json(settings.state_directory / STATUS_FILE).get(WATCH, {})
    except HelperError:
        # It has just started, or is not running at all, which other rows report.
        return None
    problem: str | None = found.get("problem")
    return problem
