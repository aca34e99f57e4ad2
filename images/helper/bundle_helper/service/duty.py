"""One sort of process of the helper: when it is due, how it is started and ended, and what it left.

The supervisor holds it for months, so it imports a handful of modules of the standard library.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What a duty leaves for the supervisor alone: not part of the status.
FILES, DUE = "files", "due"
NEVER = float("inf")
POLL_SECONDS = 10.0
LONGEST_PAUSE_SECONDS = 3600.0
# Less than the container's stop_grace_period, more than certbot takes to remove its TXT record.
FAREWELL_SECONDS = 9.0
STOP = (signal.SIGTERM, signal.SIGINT)
SIGNALS = (*STOP, signal.SIGCHLD)
_LONGEST_POLL_SECONDS = 60.0


def stamp(path: str) -> list[int] | None:
    """Return what changes when a file does, or None while it cannot be read."""
    try:
        found = os.stat(path)  # noqa: PTH116 (pathlib costs memory for months)
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_ino, found.st_size]


class Duty:
    """One sort of process. Its times are of the monotonic clock, in seconds.

    It leaves what it found in a JSON file, and is started again `pause` after it succeeded.
    """

    def __init__(
        self, name: str, content: dict[str, Any], *, pause: float, longest: float, first: float = 0
    ) -> None:
        self.name = name
        self.content = content
        self.known = False
        self.pause = pause
        self.longest = longest
        self.due = time.monotonic() + first
        self.pid: int | None = None
        self._since = time.monotonic()
        self._failures = 0
        self._seen: list[int] | None = None
        self._poll = POLL_SECONDS
        self._hurries = False
        self._asked_to_end = False

    def start(self, command: list[str]) -> None:
        """Start the process."""
        self._since, self._asked_to_end = time.monotonic(), False
        self.pid = os.posix_spawn(command[0], command, os.environ, setsigmask=(), setsigdef=SIGNALS)

    def end(self, code: int) -> None:
        """Note that the process has ended, and when the next one is due."""
        self.pid, self._since = None, time.monotonic()
        self._failures = self._failures + 1 if code else 0
        self.due = self._since + self.pause
        if code:
            self.due = self._since + min(2.0 ** min(self._failures, 16), LONGEST_PAUSE_SECONDS)
            # A negative code is the number of the signal that ended it.
            reason = f"exit code {code}" if code > 0 else f"signal {-code}"
            problem = f"its process ended with {reason}; see its output in the log above"
            self.content, self.known = {**self.content, "problem": problem}, True

    def forget(self, directory: str) -> None:
        """Remove what a process of an earlier service has left."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._file(directory))  # noqa: PTH108 (as above)

    def read(self, directory: str) -> None:
        """Take what the process has left, if that is new."""
        path = self._file(directory)
        now = stamp(path)
        if now is None or now == self._seen:
            return
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 (as above)
            self.content, self.known, self._seen = json.load(file), True, now

    def _file(self, directory: str) -> str:
        return os.path.join(directory, f"{self.name}.json")  # noqa: PTH118 (as above)

    def hurry(self) -> None:
        """Look at the files that it depends on at once: another duty has ended."""
        self._hurries = True

    def poll(self) -> None:
        """Make it due if its own moment has come, or a file that it depends on has changed."""
        rests = not self._hurries and time.monotonic() - self._since < self._poll
        if self.pid is not None or rests:
            return
        self._hurries = False
        changed = any(stamp(path) != was for path, was in self.content.get(FILES, {}).items())
        # A file that always changes must not keep the machine busy.
        self._poll = min(2 * self._poll, _LONGEST_POLL_SECONDS) if changed else POLL_SECONDS
        if changed or time.time() >= (self.content.get(DUE) or NEVER):
            self.due = 0

    def end_overdue(self) -> None:
        """End a process that takes longer than it ever should; by force if it ignores that."""
        if self.pid is None or time.monotonic() - self._since < self.longest:
            return
        os.kill(self.pid, signal.SIGKILL if self._asked_to_end else signal.SIGTERM)
        self._since += FAREWELL_SECONDS
        self._asked_to_end = True
