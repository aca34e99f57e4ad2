"""What the helper watches and no other row proves: the disk, the heartbeat, and the watch itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import storage
from ..errors import HelperError
from ..findings import Finding, failed, passed
from ..health import STATUS_FILE
from ..monitoring import watch

if TYPE_CHECKING:
    from ..settings.service_settings import ServiceSettings


def probe_watch(settings: ServiceSettings) -> Finding:
    """Look at the disk now, and at how the last heartbeat and the last round of the watch went."""
    scarce = watch.look_at_disk(settings)
    if scarce:
        return failed(
            scarce,
            cause="media, the database, or something else on this machine has filled it",
            next_step="docs/running.md says what grows and what may go; `docker system df`",
        )
    broken = _read_problem(settings)
    if broken:
        return failed(
            f"the watch does not run: {broken}",
            cause="its process fails, and with it every message and heartbeat",
            next_step="`docker compose logs helper`",
        )
    beat = watch.read(settings).get(watch.HEARTBEAT)
    if beat and beat["problem"]:
        return failed(
            f"{beat['problem']}, since {beat['since']}",
            cause="the address in the file that `heartbeat` names is not the service's, or it is down",
            next_step="look at that service; then `make generate` and `docker compose up -d`",
        )
    return passed("there is room on the disk" + (", and the heartbeat arrives" if beat else ""))


def _read_problem(settings: ServiceSettings) -> str | None:
    try:
        found = storage.read(settings.state_directory / STATUS_FILE).get("watch", {})
    except HelperError:
        # It has just started, or does not run at all, which other rows tell.
        return None
    problem: str | None = found.get("problem")
    return problem
