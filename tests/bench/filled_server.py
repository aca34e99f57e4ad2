"""A running bundle with as much data as a homeserver has, which is backed up and restored."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.bench.one_shot import OneShot, run_image, run_service
from tests.bench.run_context import RunContext
from tests.bench.synapse_data import SynapseData
from tests.generator.succeeding import age
from tests.support.engine import docker
from tests.support.stacks import Stack, generate

PASSWORD: Final = (
    "export PGPASSWORD=$(cat /password); connect='--host=postgres --username=postgres'"
)


@dataclass(kw_only=True)
class FilledServer:
    """The bundle, its data, and a folder for what the reference makes of them."""

    stack: Stack
    data: SynapseData
    folder: Path
    # The highest memory of each set so far, in MiB.
    peaks: list[float] = field(default_factory=list)

    @property
    def repository(self) -> Path:
        """The folder with the sets."""
        return self.stack.directory / "backups"

    def forget_sets(self) -> None:
        """Begin anew: no repository, and nothing known of one."""
        shutil.rmtree(self.repository, ignore_errors=True)
        self.repository.mkdir()
        self._clear_state("")

    def make_set(self) -> OneShot:
        """Make a set by the command, with the check of a part of the repository that is due once a day."""
        self._clear_state("maintenance.json")
        done = run_service(self.stack, "backup", "now")
        self.peaks.append(done.memory)
        return done

    def restore(self) -> OneShot:
        """Restore the newest set by the command."""
        return run_service(self.stack, "restore")

    def run_reference(self, script: str, *options: str) -> OneShot:
        """Run a script with PostgreSQL's programs, the media at /media and the folder at /out."""
        mounts = [
            f"--volume={self.stack.project}_media:/media:ro",
            f"--volume={self.folder}:/out",
            f"--volume={self.stack.directory}/secrets/postgres_password:/password:ro",
        ]
        return run_image(self.stack, self.data.image, [*mounts, *options], f"{PASSWORD}\n{script}")

    def measure_repository(self) -> int:
        """Return the bytes of all files of the repository."""
        return sum(path.stat().st_size for path in self.repository.rglob("*") if path.is_file())

    def _clear_state(self, name: str) -> None:
        script = f"rm -rf /state/{name}" if name else "find /state -mindepth 1 -delete"
        docker("run", "--rm", "--network=none", "--user=0", "--entrypoint=sh",
               f"--volume={self.stack.project}_backup:/state", self.data.image, "-c", script)  # fmt: skip


@contextmanager
def run_filled_server(context: RunContext, *, older: bool) -> Iterator[FilledServer]:
    """Run a bundle, fill it, and remove every trace at the end; with an `older` PostgreSQL if wanted."""
    context.budget.say(f"starting a bundle for {context.megabytes} MB of data")
    stack = generate(context.folder / "filled", "bench-filled", "")
    if older:
        age(stack.directory)
        stack.generate()
    folder = context.folder / "reference"
    folder.mkdir()
    try:
        stack.build("--profile", "tools")
        stack.up()
        data = SynapseData(stack=stack, image=find_backup_image(stack), megabytes=context.megabytes)
        server = FilledServer(stack=stack, data=data, folder=folder)
        server.make_set()
        server.forget_sets()
        data.fill(context)
        context.budget.say(f"  the database has {data.measure() / 1e6:.0f} MB")
        yield server
    finally:
        stack.down()


def find_backup_image(stack: Stack) -> str:
    """Return the image with PostgreSQL's programs, of the bundle as it is."""
    names = stack.compose("--profile", "tools", "config", "--images").stdout.split()
    return next(name for name in names if name.startswith("synapse-bundle/backup"))
