"""A `restic` that answers from files: for tests of what the helper asks it, without an engine."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pytest

# What is stored changes what is listed from then on.
_PROGRAM: Final = """#!/bin/sh
cd "{directory}" && echo "$*" >>calls
case $1 in
snapshots | stats) exec cat "$1.json" ;;
dump) exec cat "$3.json" ;;
esac
mv listed-next.json snapshots.json
echo '{{"message_type": "summary", "snapshot_id": "new", "total_bytes_processed": 1, "data_added_packed": 1}}'
"""


@dataclass(frozen=True, kw_only=True)
class ResticDouble:
    """The directory with its answers."""

    directory: Path

    @classmethod
    def install(cls, directory: Path, monkeypatch: pytest.MonkeyPatch) -> ResticDouble:
        """Make it the first `restic` that is found."""
        program = directory / "restic"
        program.write_text(_PROGRAM.format(directory=directory))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
        return cls(directory=directory)

    def answer(self, name: str, content: Any) -> None:
        """Let it answer with this: `snapshots`, `stats`, or the id of a snapshot for its one file."""
        (self.directory / f"{name}.json").write_text(json.dumps(content))

    def list_calls(self, command: str) -> list[str]:
        """Return what it was asked by one of its commands."""
        path = self.directory / "calls"
        calls = path.read_text().splitlines() if path.exists() else []
        return [call for call in calls if command in call.split()]
