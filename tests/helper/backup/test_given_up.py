"""A restic that cannot store something, and then waits for itself for ever, ends a backup all the same."""

from __future__ import annotations

import subprocess
import tempfile
from typing import Any

import pytest

from bundle_helper.backup import restic_output
from bundle_helper.backup.progress import ignore_progress
from bundle_helper.backup.restic_output import Child, read_messages

LOST = "Save(<data/9a63e05b3a>) failed: no space left on device"
AGAIN = "Save(<data/9a63e05b3a>) returned error, retrying after 552ms: connection refused"
LOCK = "Save(<lock/4bd10d1c23>) failed: no space left on device"


def run(complaint: str) -> tuple[int, dict[str, Any], str]:
    """Read what a program says that complains and goes on; its code, its summary, and its complaints."""
    script = """
    echo "$1" >&2
    for _ in $(seq 60); do echo '{"message_type": "status"}'; sleep 0.05; done
    echo the last word >&2
    echo '{"message_type": "summary", "snapshot_id": "1"}'
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as complaints,
        subprocess.Popen(
            ["sh", "-c", script, "sh", complaint],
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        summary = read_messages(Child(process, complaints), ignore_progress)
        code = process.wait()
        complaints.seek(0)
        return code, summary, complaints.read()


def test_what_is_lost_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restic_output, "PATIENCE_SECONDS", 0.1)
    code, summary, said = run(LOST)
    assert code
    assert summary == {}
    assert said == f"{LOST}\n"


@pytest.mark.parametrize("complaint", [AGAIN, LOCK, "a file has vanished"])
def test_anything_else_does_not(complaint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it tries again may succeed; and looking at what it says changes nothing of that."""
    monkeypatch.setattr(restic_output, "PATIENCE_SECONDS", 0.1)
    code, summary, said = run(complaint)
    assert (code, summary["snapshot_id"]) == (0, "1")
    assert said == f"{complaint}\nthe last word\n"
