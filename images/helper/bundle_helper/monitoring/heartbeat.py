"""The heartbeat: an address that is called as long as all is well, and that reports its silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import HelperError
from ..exchange import OK, ask_url
from ..settings.environment import read_secret

if TYPE_CHECKING:
    from pathlib import Path


def call_heartbeat(file: Path) -> str | None:
    """Call the address in `file`; return why that did not work, without the address."""
    try:
        status = ask_url(read_secret(file).reveal()).status
    except (HelperError, ValueError) as error:
        reason = error.message if isinstance(error, HelperError) else "its file is unusable"
        return f"the call of the heartbeat address failed: {reason}"
    return None if status in OK else f"the heartbeat address answers with {status}"
