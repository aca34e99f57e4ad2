"""A running server with a checkout of its own, whose pins move, so that it can be updated."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from synapse_bundle import images
from synapse_bundle.updating import update_journal
from tests.support.engine import docker, try_docker
from tests.support.stacks import REPOSITORY, Stack, generate

PRESENT: Final = images.read_pins()["synapse"]
# A tag that no release has, of images that are made here.
_MADE: Final = "v1.163.2-made"


@dataclass(frozen=True, kw_only=True)
class Updatable:
    """The server, and what makes its bundle."""

    stack: Stack
    checkout: Path

    def pin(self, tag: str) -> str:
        """Let the checkout name this tag of Synapse; return the id of its image, which is here."""
        write_pin(self.checkout, tag)
        return docker("image", "inspect", "--format", "{{.Id}}", f"{PRESENT.image}:{tag}")

    def release(self, number: int, dockerfile: str, **files: str) -> str:
        """Make an image of the pinned one by some lines, and let the checkout name it; return its id."""
        context = self.checkout / "image"
        context.mkdir(exist_ok=True)
        for name, text in files.items():
            (context / name).write_text(text)
        (context / "Dockerfile").write_text(f"FROM {PRESENT.reference}\n{dockerfile}")
        tag = f"{_MADE}.{number}"
        docker("build", "--quiet", "--tag", f"{PRESENT.image}:{tag}", str(context))
        return self.pin(tag)

    def open_update(self, *options: str) -> subprocess.Popen[str]:
        """Start the command of the checkout."""
        files = ["--settings", str(self.stack.settings), "--output", str(self.stack.directory)]
        command = [sys.executable, "-m", "synapse_bundle", "update", *files, "--yes", *options]
        return subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(self.checkout / "generator")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def update(self, code: int, *options: str) -> str:
        """Update without a registry, which has to end with a code; return what it says."""
        with self.open_update("--offline", *options) as process:
            said, _ = process.communicate()
        assert process.returncode == code, said
        assert "Traceback" not in said
        return said

    def kill_at(self, line: str) -> None:
        """Update, and kill the command, and nothing that it has started, when it says something."""
        with self.open_update("--offline") as process:
            assert process.stdout
            for said in process.stdout:
                if said.startswith(line):
                    break
            process.kill()
        assert process.returncode == -signal.SIGKILL

    @property
    def image(self) -> str:
        """The image that Synapse runs."""
        return str(self.stack.inspect("synapse")["Image"])

    def assert_finished(self) -> None:
        """Fail unless no update is under way, and the bundle's check holds."""
        engine = docker("info", "--format", "{{.ID}}")
        assert update_journal.read(self.stack.directory, engine).underway is None
        checked = self.stack.check()
        assert [row for row in json.loads(checked.stdout)["checks"] if not row["ok"]] == []


def write_pin(checkout: Path, tag: str) -> None:
    """Let a checkout name another tag of Synapse than this one does."""
    text = images.PINS.read_text().replace(f'"{PRESENT.tag}"', f'"{tag}"')
    (checkout / "generator" / "synapse_bundle" / images.PINS.name).write_text(text)


@contextmanager
def open_updatable(folder: Path, name: str, tag: str = PRESENT.tag) -> Iterator[Updatable]:
    """Generate a bundle with a tag of Synapse; remove every trace, and the images that were made."""
    checkout = folder / "checkout"
    for part in ("generator", "compose", "images"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / part, checkout / part, ignore=ignored)
    write_pin(checkout, tag)
    generated = generate(folder, name, "", source=checkout)
    # Its own images are those that other tests use.
    stack = dataclasses.replace(generated, source=REPOSITORY)
    try:
        yield Updatable(stack=stack, checkout=checkout)
    finally:
        stack.down()
        listed = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()
        mine = (f"synapse-bundle/kept-{stack.project}:", f"{PRESENT.image}:{_MADE}")
        try_docker("image", "rm", "--force", *(each for each in listed if each.startswith(mine)))
