"""The long-lived helper: starts each duty when it is due, as a process of its own, and keeps the status.

It sleeps for months on an old machine, so it imports a handful of modules of the standard library: what
a duty needs (cryptography, certbot, Apprise) is in memory only while the duty runs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

from ..status import ACCOUNTS, CERTIFICATE, CLAIM, PUBLICATION, STATUS_FILE, UPDATES, WATCH
from .duty import (
    DUE,
    FAREWELL_SECONDS,
    FILES,
    LONGEST_PAUSE_SECONDS,
    NEVER,
    POLL_SECONDS,
    SIGNALS,
    STOP,
    Duty,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

_STATUS_SECONDS = 60.0
# While a duty runs, what it leaves is read at once; otherwise only the files' times are.
_BUSY_SECONDS = 0.5
_PATHS = "import sys; sys.path.insert(0, sys.argv[1]); "
_START = _PATHS + "from bundle_helper.service.supervisor import main; sys.exit(main())"


def hold_signals() -> None:
    """Hold back the signals that ask to stop until the supervisor reads them, across `become`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def become() -> NoReturn:
    """Replace this process, with all it has imported, by the supervisor."""
    path = os.path.abspath(__file__)  # noqa: PTH100 (pathlib is what this module does without)
    for _ in __name__.split("."):
        path = os.path.dirname(path)  # noqa: PTH120 (as above)
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", _START, path])  # noqa: S606 (no shell is wanted)


def main() -> int:
    """Serve until asked to stop; return the exit code."""
    supervisor = Supervisor(
        os.environ["STATE_DIRECTORY"],
        lambda duty: [sys.executable, "-m", "bundle_helper.service", duty],
        # The trial has no name to claim.
        claims=os.environ["CLAIM_DIRECTORY"] != "none",
        publishes=os.environ["PUBLICATION"] != "none",
        informs=os.environ["RELEASE_LIST"] != "none",
    )
    try:
        supervisor.serve()
    except OSError as error:
        tell(
            f"Error: {error.filename} cannot be written ({error.strerror}). Check the volume"
            " mounted there: its owner must be this container's user, and it must not be full."
        )
        supervisor.stop()
        return 1
    return 0


def tell(sentence: str) -> None:
    """Print a line at once, whatever the locale."""
    os.write(1, f"{sentence}\n".encode())


class Supervisor:
    """The loop around the duties; `command` is how one is started."""

    def __init__(
        self,
        directory: str,
        command: Callable[[str], list[str]],
        *,
        claims: bool = False,
        publishes: bool = False,
        informs: bool = False,
    ) -> None:
        self._directory = directory
        self._command = command
        self._publication = Duty(PUBLICATION, {"problem": None}, pause=600.0, longest=60.0)
        claim = Duty(CLAIM, {"held": False, "problem": None}, pause=600.0, longest=240.0)
        updates = Duty(
            UPDATES, {"problem": None}, pause=LONGEST_PAUSE_SECONDS, longest=240.0, first=60.0
        )
        self._duties = (
            Duty(
                CERTIFICATE,
                {"valid_until": None, "problem": None},
                pause=LONGEST_PAUSE_SECONDS,
                longest=2400.0,
            ),
            *([claim] if claims else []),
            *([self._publication] if publishes else []),
            Duty(ACCOUNTS, {"ensured": False, "problem": None}, pause=NEVER, longest=NEVER),
            Duty(WATCH, {}, pause=300.0, longest=240.0, first=60.0),
            *([updates] if informs else []),
        )
        self._problems = ProblemLog(tell)
        self._written: dict[str, Any] = {}
        self._written_at = -_STATUS_SECONDS

    def serve(self) -> None:
        """Do the duties until asked to stop; OSError if the status cannot be written."""
        hold_signals()
        for duty in self._duties:
            duty.forget(self._directory)
        while True:
            for duty in self._duties:
                duty.poll()
                if duty.pid is None and time.monotonic() >= duty.due:
                    duty.start(self._command(duty.name))
            if self._sleep() in STOP:
                break
            self._reap()
            self._write_status()
        self.stop()

    def stop(self) -> None:
        """End the processes that run; certbot removes its TXT record meanwhile."""
        for duty in self._duties:
            if duty.pid is not None:
                os.kill(duty.pid, signal.SIGTERM)
        end = time.monotonic() + FAREWELL_SECONDS
        while any(duty.pid for duty in self._duties) and time.monotonic() < end:
            signal.sigtimedwait((signal.SIGCHLD,), max(0, end - time.monotonic()))
            self._reap()

    def _sleep(self) -> int:
        now = time.monotonic()
        busy = any(duty.pid for duty in self._duties)
        dues = [duty.due for duty in self._duties if duty.pid is None]
        pause = min([_BUSY_SECONDS if busy else POLL_SECONDS, *(due - now for due in dues)])
        found = signal.sigtimedwait(SIGNALS, max(0, pause))
        return found.si_signo if found else 0

    def _reap(self) -> None:
        """Reap what has ended; as the first process also what others left behind."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for duty in self._duties:
                if duty.pid == pid:
                    # What it left last comes before what its exit code says.
                    duty.read(self._directory)
                    duty.end(os.waitstatus_to_exitcode(status))
                    if duty is not self._publication:
                        self._publication.hurry()

    def _write_status(self) -> None:
        for duty in self._duties:
            duty.read(self._directory)
            duty.end_overdue()
            if duty.known:
                self._problems.note_all(duty.name, duty.content)
        status = {duty.name: _without_internal(duty.content) for duty in self._duties}
        now = time.monotonic()
        due = status != self._written or now - self._written_at >= _STATUS_SECONDS
        # Until the certificate's duty has left its first state, not even a problem is known.
        if not self._duties[0].known or not due:
            return
        written = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
        _write(self._directory, {"time": written, **status})
        self._written, self._written_at = status, now


class ProblemLog:
    """Logs a problem when it appears and when it ends, not every time it is found."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._known: dict[str, str | None] = {}

    def note(self, duty: str, problem: str | None) -> str | None:
        """Log `problem` of `duty` if it has changed, and return it."""
        before = self._known.get(duty, "")
        if problem is not None and problem != before:
            self._tell(f"{duty}: {problem}")
        elif problem is None and before is not None:
            self._tell(f"{duty}: OK")
        self._known[duty] = problem
        return problem

    def note_all(self, duty: str, content: Mapping[str, Any]) -> None:
        """Log what has changed in what a duty found: its own problem, or those of its parts."""
        if "problem" in content:
            self.note(duty, content["problem"])
        for name, part in content.items():
            if isinstance(part, dict) and "problem" in part:
                self.note(name, part["problem"])


def _write(directory: str, status: Mapping[str, Any]) -> None:
    """Replace the status in one step; OSError names the file."""
    path = os.path.join(directory, STATUS_FILE)  # noqa: PTH118 (as above)
    beside = f"{path}.new"
    with open(beside, "w", encoding="utf-8") as file:  # noqa: PTH123 (as above)
        json.dump(status, file, indent=2, sort_keys=True)
    os.replace(beside, path)  # noqa: PTH105 (as above)


def _without_internal(content: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name not in {FILES, DUE}}
