"""Commands that must succeed, and what they printed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    check: bool = True,
    environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    text: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command, with more in its environment, and `text` to read; a failure shows what it printed."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        input=text,
    )
    if check and done.returncode:
        raise AssertionError(
            f"{' '.join(command)} gave {done.returncode}:\n{done.stdout}{done.stderr}"
        )
    return done
