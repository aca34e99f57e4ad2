"""What restic says: its progress, its complaints, and that it has given up."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from .progress import Report

_GRACE_SECONDS: Final = 5.0
# After what it cannot store restic ends within a second, if it does.
PATIENCE_SECONDS: Final = 30.0
_LARGEST: Final = 100_000
# Of what it tries again it says "returned error, retrying after".
_GIVEN_UP: Final = re.compile(rb"^Save\(<(?!lock/)[^)]*\) failed: ", re.MULTILINE)


class Child(NamedTuple):
    """A process, and the file with what it wrote to standard error."""

    process: subprocess.Popen[str]
    complaints: IO[str]

    def read_reason(self) -> str:
        """Return the reason for a failure: the first error, what was fatal, or the last line."""
        said = [(text.splitlines()[0].strip(), item) for text, item in self._read() if text.strip()]
        lines = [line for line, _ in said]
        errors = [line for line, item in said if item or "error:" in line]
        fatal = [line for line in lines if line.startswith("Fatal: ")]
        return (errors or fatal or lines[-1:] or [""])[0].removeprefix("Fatal: ")

    def read_files(self) -> dict[str, str]:
        """Return the files that restic complained about, each with the reason."""
        return {item: text for text, item in self._read() if item}

    def has_given_up(self) -> bool:
        """Return whether restic has said that something of the set will never be stored.

        A lock that cannot be refreshed alone does not end a backup.
        """
        # Its place in the file is restic's own as well: reading from another one must not move that.
        said = os.pread(self.complaints.fileno(), _LARGEST, 0)
        return _GIVEN_UP.search(said) is not None

    def _read(self) -> list[tuple[str, str]]:
        self.complaints.seek(0)
        return [_read_complaint(line) for line in self.complaints]


def stop(process: subprocess.Popen[str]) -> None:
    """End a process; restic takes its lock away when it is asked to."""
    process.terminate()
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def read_messages(running: Child, report: Report) -> dict[str, Any]:
    """Pass on the progress in restic's messages to their end, and return its summary.

    A restic that could not store something for good, and does not end, is ended: where its target is full, restic
    0.18 may wait for itself for ever, and goes on telling of its progress.
    """
    summary: dict[str, Any] = {}
    given_up: float | None = None
    for line in running.process.stdout or ():
        message = _parse_message(line)
        if message.get("message_type") == "summary":
            summary = message
        elif message.get("message_type") == "status":
            done = message.get("bytes_done", message.get("bytes_restored", 0))
            report(done, message.get("total_bytes"))
        if given_up is None and running.has_given_up():
            given_up = time.monotonic()
        if given_up is not None and time.monotonic() - given_up > PATIENCE_SECONDS:
            stop(running.process)
            break
    return summary


def _read_complaint(line: str) -> tuple[str, str]:
    """Return what a line on standard error says, and the file it is about, if it is about one."""
    message = _parse_message(line)
    if not message:
        return line.strip(), ""
    text = message.get("error", {}).get("message") or message.get("message", "")
    return str(text), str(message.get("item", ""))


def _parse_message(line: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}
