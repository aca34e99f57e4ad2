"""A terminal in which commands are typed as the documents have them."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import run
from tests.support.stacks import REPOSITORY


@dataclass(frozen=True, kw_only=True)
class Terminal:
    """A directory; with `project`, on a machine where a bundle in it is that project.

    So one engine is several machines.
    """

    directory: Path
    project: str = ""

    def type(self, command: str) -> str:
        """Type a command, which must succeed, and return what it prints."""
        return run(
            ["bash", "-c", command], cwd=self.directory, environment=self._environment
        ).stdout

    def show(self, command: str, *, question: str = "", answer: str = "") -> str:
        """Type a command that wants a terminal, and return what that shows.

        When it asks the question, the answer is typed.
        """
        ours, its = pty.openpty()
        with subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.directory,
            env={**os.environ, **self._environment},
            stdin=its,
            stdout=its,
            stderr=its,
        ) as process:
            os.close(its)
            shown = b""
            # Linux has an error for the end of a terminal.
            with contextlib.suppress(OSError):
                while part := os.read(ours, 65536):
                    asked = question.encode() in shown
                    shown += part
                    if not asked and question.encode() in shown:
                        os.write(ours, f"{answer}\n".encode())
            os.close(ours)
        assert process.returncode == 0, shown.decode()
        return shown.decode().replace("\r\n", "\n")

    @property
    def _environment(self) -> dict[str, str]:
        chosen = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            # What is typed is no part of the make that may run the tests.
            "MAKEFLAGS": "",
            "MAKELEVEL": "",
        }
        return {**chosen, "COMPOSE_PROJECT_NAME": self.project} if self.project else chosen


def open_checkout(folder: Path, project: str = "") -> Terminal:
    """Return a terminal in `folder`, which becomes a checkout: `make` and `docker compose` work."""
    folder.mkdir(exist_ok=True)
    shutil.copy(REPOSITORY / "Makefile", folder)
    compose = (REPOSITORY / "compose.yaml").read_text()
    # A bundle beside it must have its name.
    named = re.sub(r"(?m)^name: .+$", f"name: {project}", compose) if project else compose
    (folder / "compose.yaml").write_text(named)
    (folder / "pyproject.toml").touch()
    environment = folder / ".venv"
    environment.mkdir()
    (environment / "bin").symlink_to(Path(sys.executable).parent)
    for stamp in ("python", "project"):
        (environment / stamp).touch()
    return Terminal(directory=folder, project=project)
