"""Commands of Docker and Compose for one bundle, as an update runs them.

What may take long inherits the lock on the bundle's folder: what a killed update leaves running keeps the next
one out until it has ended.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .. import docker_command, engine
from .image_changes import Model

SERVICE_LABEL: Final = "com.docker.compose.service"


@dataclass(frozen=True, kw_only=True)
class ComposeCommands:
    """Compose, for the bundle in a folder whose lock is `lock`, a file descriptor; -1 for none."""

    bundle: Path
    lock: int = -1
    # By the files that they were read from: Compose takes longer for one than most steps here.
    models: dict[tuple[bytes, ...], Model] = field(default_factory=dict, repr=False)

    def read_present(self) -> Model:
        """Return Compose's model of the bundle as it is on the disk."""
        paths = [self.bundle / name for name in ("compose.yaml", "compose.override.yaml")]
        content = tuple(path.read_bytes() for path in paths if path.is_file())
        if content not in self.models:
            self.models[content] = engine.read_model(self.bundle)
        return self.models[content]

    def _inspect(self, *options: str) -> list[dict[str, Any]]:
        """Return what the engine knows of the bundle's containers, by default of those that run."""
        listed = docker_command.ask(*self._compose(), "ps", "--quiet", *options).split()
        if not listed:
            return []
        done = docker_command.run_plainly(["docker", "inspect", *listed])
        # One that has just been replaced is missing from what is printed.
        return list(json.loads(done.stdout or "[]"))

    @property
    def _inherited(self) -> tuple[int, ...]:
        return (self.lock,) if self.lock >= 0 else ()

    def _compose(self) -> list[str]:
        return list(map(str, engine.open_client(self.bundle).docker_compose_cmd))

    def _run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command whose output is for the operator, except what `options` captures."""
        return subprocess.run(
            command,
            check=False,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            pass_fds=self._inherited,
            **options,
        )
