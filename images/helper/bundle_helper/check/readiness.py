"""A bundle that was just started gets the time that it needs, instead of a table of failures."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .. import storage
from ..errors import HelperError
from ..status import STATUS_FILE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..settings.service_settings import ServiceSettings

# Seconds after its start in which a bundle may still be starting; usually it needs ten.
_YOUTH: Final = 120.0
_PAUSE: Final = 0.5
_PATIENCE: Final = 5.0


def wait_for_start(
    settings: ServiceSettings,
    tell: Callable[[str], None],
    age: float,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until everything answers, or until the bundle is no longer young; `age` is in seconds."""
    announced = False
    while age < _YOUTH and not _is_ready(settings):
        if not announced:
            tell(f"the bundle was just started; waiting for it (at most {_YOUTH - age:.0f} s) ...")
            announced = True
        sleep(_PAUSE)
        age += _PAUSE


def _is_ready(settings: ServiceSettings) -> bool:
    """Say whether Synapse has answered the helper, and Apache and the workers accept connections."""
    try:
        status = storage.read_json(settings.state_directory / STATUS_FILE)
        for address in (settings.apache_address, *settings.workers):
            socket.create_connection(address, _PATIENCE).close()
    except (HelperError, OSError):
        return False
    return bool(status.get("accounts", {}).get("ensured"))


def measure_age() -> float:
    """Return for how many seconds the helper's service, this container's first process, has run."""
    fields = Path("/proc/1/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    # Field 22 of proc_pid_stat(5); two are before the last bracket.
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started
