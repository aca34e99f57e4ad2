"""One line to a person, through Apprise, when a certificate is about to become a problem.

`python3 -m bundle_helper.notification FILE` sends standard input to the addresses in FILE.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from . import report, schedule
from .errors import HelperError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .certificate import State
    from .settings import ServiceSettings

_SENT = "notified.json"
_TIMEOUT_SECONDS = 60.0
_LONGEST = 400


def consider(
    settings: ServiceSettings, state: State, now: datetime, tell: Callable[[str], None]
) -> None:
    """Send word in the background if it is worth it, and was not sent within a day."""
    file = settings.notification_file
    sent = settings.state_directory / _SENT
    if file is None or state.problem is None:
        return
    near = state.deadlines is not None and now >= state.deadlines.warning
    if not schedule.must_notify(state.failing_since, _read(sent), now, near=near):
        return
    report.write(sent, {"time": now.isoformat()})
    line = describe(settings.homeserver, state)
    Thread(target=send, args=(file, line, tell), daemon=True).start()


def describe(homeserver: str, state: State) -> str:
    """Return the line for a person: what is wrong, since when, and when it will matter."""
    since = f" since {state.failing_since:%Y-%m-%d %H:%M} UTC" if state.failing_since else ""
    end = f"{state.live.valid_until:%Y-%m-%d %H:%M} UTC" if state.live else "once"
    problem = " ".join(str(state.problem).split())
    return f"{homeserver}: its certificate ends at {end}; not renewed{since}: {problem}"[:_LONGEST]


def send(file: Path, line: str, tell: Callable[[str], None]) -> None:
    """Send a line to every address in `file`, and tell whether that worked."""
    # In a process of its own: the library is large, and this happens once in years.
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bundle_helper.notification", str(file)],
            input=line,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        tell(f"notification: not sent within {_TIMEOUT_SECONDS:.0f} s")
        return
    tell("notification: sent" if done.returncode == 0 else "notification: not sent to everybody")


def main(file: str, line: str) -> int:
    """Send a line to every address in `file`; return the exit code."""
    import apprise  # noqa: PLC0415

    sender = apprise.Apprise()
    addresses = Path(file).read_text(encoding="utf-8").split()
    known = [bool(sender.add(address)) for address in addresses]
    sent = sender.notify(body=line, title="Matrix server")
    return 0 if all(known) and sent else 1


def _read(path: Path) -> datetime | None:
    try:
        return datetime.fromisoformat(report.read(path)["time"])
    except (HelperError, LookupError, ValueError, TypeError):
        return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.stdin.read()))
