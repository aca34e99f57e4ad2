"""PostgreSQL's next major version takes a server's data over; or gives it back, until clients have used it.

How far it came is in the volume, as the note in the older data directory, and in the bundle's manifest:
so each run finds out where the last one was cut off, and any step may be done again. At every moment at most one of
the two can start: up to the note the older one, behind the fence of a move, then the newer one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NamedTuple

from . import docker_command, engine, images, manifest, pipeline, topology, versions
from .database_place import runs_database
from .errors import BundleError, SettingsError
from .settings.model import Settings

COMMAND: Final = "synapse-bundle upgrade-database"
_SCRIPT: Final = "succession.sh"


class Stage(StrEnum):
    """What the volume says of the older data; the words are those of the script."""

    CURRENT = "current"
    HANDED_OVER = "handed over"
    OPENED = "opened"
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Succession:
    """A bundle, and the two major versions; `base` is what file names in the settings are relative to."""

    settings: Settings
    bundle: Path
    base: Path
    older: int
    newer: int

    @property
    def is_switched(self) -> bool:
        """Whether the bundle on disk is one of the newer version."""
        return versions.find_major(manifest.read(self.bundle, force=False)) == self.newer

    def prepare(self, major: int = 0) -> pipeline.Preparation:
        """Plan the bundle with a major version, or with the one that it has."""
        return pipeline.prepare(
            self.settings, self.bundle, self.base, {}, force=False, postgres=major
        )

    def write(self, major: int = 0) -> None:
        """Write the bundle with a major version, or with the one that it has."""
        prepared = self.prepare(major)
        pipeline.refuse_conflicts(prepared.changes)
        pipeline.carry_out(prepared, self.bundle)

    def compose(self, *arguments: str, given: bytes | None = None, quiet: bool = False) -> bytes:
        """Run Compose on the terminal, and return its output if it is `quiet`; BundleError if it fails.

        `given` is a compose.yaml to take instead of the one on disk.
        """
        words = list(map(str, engine.open_client(self.bundle).docker_compose_cmd))
        if given is not None:
            files = ["--file", "-", "--project-directory", str(self.bundle)]
            words = [*words[: words.index("--file")], *files] if "--file" in words else words
        output = subprocess.PIPE if quiet else None
        done = subprocess.run([*words, *arguments], check=False, input=given or b"", stdout=output)
        if done.returncode:
            raise BundleError("A container could not do its part; see the error above.")
        return done.stdout or b""

    def ask_volume(self, verb: str) -> str:
        """Let the script in the volume do something, and return what it says."""
        older, newer = (topology.POSTGRES.of_version(each) for each in (self.older, self.newer))
        script = f"{newer.scripts}/{_SCRIPT}"
        options = ["run", "--rm", "--no-deps", "--no-TTY", "--entrypoint", "/bin/bash", newer.host]
        said = self.compose(
            *options, script, verb, older.data, newer.data, str(self.newer), quiet=True
        )
        return said.decode().strip()

    def find_stage(self) -> Stage:
        """Return how far the data came."""
        return Stage(self.ask_volume("describe"))


def open_succession(settings: Settings, bundle: Path, base: Path) -> Succession:
    """Return the succession of a bundle; BundleError or SettingsError where there is none."""
    engine.require_bundle(bundle)
    if not runs_database(bundle):
        raise BundleError(
            "The database is not the bundle's own: whoever runs it brings it to a newer PostgreSQL."
            " Nothing was changed."
        )
    majors = sorted(images.list_majors())
    found = versions.find_major(manifest.read(bundle, force=False))
    if found not in majors:
        raise SettingsError(
            f"{bundle} has PostgreSQL {found or 'of an unknown version'}, and this synapse-bundle knows"
            f" {', '.join(map(str, majors))}; nothing was changed. Install a newer synapse-bundle."
        )
    older = found if found != majors[-1] else majors[-2:][0]
    return Succession(settings=settings, bundle=bundle, base=base, older=older, newer=majors[-1])


class SuccessionStep(NamedTuple):
    """One step: what it says that it does, and the function."""

    title: str
    carry_out: Callable[[Succession], object]


def list_steps(run: Succession, stage: Stage) -> Iterator[SuccessionStep]:
    """Yield what is left to do of an upgrade; SettingsError where there is nothing to upgrade."""
    switched = run.is_switched
    if switched and stage is Stage.GONE:
        raise SettingsError(_explain_nothing(run))
    if switched and stage is Stage.CURRENT:
        raise SettingsError(
            f"Going back was cut off; nothing was changed. Finish it first: {COMMAND} --undo"
        )
    if stage is Stage.CURRENT:
        yield SuccessionStep(f"get PostgreSQL {run.newer}", _fetch)
        yield SuccessionStep("make the final set, with Synapse shut out", _depart)
    if stage in {Stage.CURRENT, Stage.HANDED_OVER}:
        yield SuccessionStep("stop the server", _stop)
        yield SuccessionStep("hand the data over", lambda run: run.ask_volume("hand-over"))
    if not switched:
        # Where nothing has been stored yet, this is all.
        yield SuccessionStep(f"write the bundle with PostgreSQL {run.newer}", _switch)
    if stage in {Stage.CURRENT, Stage.HANDED_OVER}:
        yield SuccessionStep("load the final set and compare every table", _load)
        yield SuccessionStep("start Synapse, which nobody can reach yet", _start_inside)
        yield SuccessionStep("close the way back", lambda run: run.ask_volume("open"))
    if stage is not Stage.GONE:
        yield SuccessionStep("let clients in", _start)


def list_steps_back(run: Succession, stage: Stage) -> Iterator[SuccessionStep]:
    """Yield what takes an upgrade back; SettingsError where clients have used the newer version."""
    if stage is Stage.OPENED:
        raise SettingsError(
            f"Clients have used PostgreSQL {run.newer} already, and what they did is not in the data of"
            f" {run.older}; nothing was changed. A set from before, `docker compose run --rm backup list`,"
            " is restored into a bundle like any other."
        )
    if stage is Stage.GONE:
        raise SettingsError(_explain_nothing(run))
    yield SuccessionStep("stop the server", _stop)
    yield SuccessionStep("take the data back", lambda run: run.ask_volume("take-back"))
    yield SuccessionStep(f"write the bundle with PostgreSQL {run.older}", _switch_back)
    yield SuccessionStep("let Synapse in again", _return)
    yield SuccessionStep("start the server", _start)


def remove_older(run: Succession) -> None:
    """Delete the data of the older version; SettingsError while it is still in use, or may be."""
    stage = run.find_stage()
    if stage in {Stage.CURRENT, Stage.HANDED_OVER}:
        raise SettingsError(
            f"The data of PostgreSQL {run.older} is the server's, or the way back to it; nothing was"
            f" changed. First: {COMMAND}"
        )
    run.ask_volume("remove")


def _explain_nothing(run: Succession) -> str:
    return (
        f"The volume of this bundle holds no data of PostgreSQL {run.older} to upgrade; nothing was"
        " changed."
    )


def _fetch(run: Succession) -> None:
    """Have the images before anything is shut: the server stands still from then on."""
    compose = run.prepare(run.newer).plan.files[-1].content
    run.compose("pull", "--policy", "missing", topology.POSTGRES.host, given=compose)
    run.compose("--profile", "tools", "build", topology.BACKUP.host, given=compose)


def _depart(run: Succession) -> None:
    _wait_for_remains(run)
    _run_once(run, topology.BACKUP.host, "move", "--to-postgres", str(run.newer))


def _wait_for_remains(run: Succession) -> None:
    """Let a container end that a run which was cut off has left: it holds the lock, and makes the same set."""
    labels = {"project": run.settings.project, "service": topology.BACKUP.host, "oneoff": "True"}
    chosen = [f"--filter=label=com.docker.compose.{name}={value}" for name, value in labels.items()]
    if left := docker_command.ask("docker", "ps", "--quiet", *chosen).split():
        subprocess.run(["docker", "wait", *left], check=False, stdout=subprocess.DEVNULL)


def _stop(run: Succession) -> None:
    """Remove every container, those included that a run which was cut off has left."""
    run.compose("--profile", "tools", "down", "--remove-orphans")


def _switch(run: Succession) -> None:
    run.write(run.newer)


def _switch_back(run: Succession) -> None:
    run.write(run.older)


def _load(run: Succession) -> None:
    _run_once(run, "restore", "--keep-files")


def _start_inside(run: Succession) -> None:
    """Start Synapse's processes and what they need: if they do not run, nobody has seen it yet."""
    names = [topology.SYNAPSE.host, *(process.name for process in run.settings.processes)]
    run.compose("up", "--detach", "--wait", *names)


def _return(run: Succession) -> None:
    _run_once(run, topology.BACKUP.host, "move", "--undo")


def _start(run: Succession) -> None:
    engine.start(run.bundle, run.settings.ports)


def _run_once(run: Succession, service: str, *arguments: str) -> None:
    run.compose("run", "--rm", "--no-TTY", service, *arguments)


def perform(
    steps: Iterable[SuccessionStep], run: Succession, report: Callable[[str], None]
) -> None:
    """Take every step; a failure says how to go on and how to go back. BundleError, SettingsError."""
    for step in steps:
        report(f"{step.title} ...")
        try:
            step.carry_out(run)
        except (BundleError, SettingsError) as error:
            raise BundleError(
                f"{error.message}\nTo go on: {COMMAND}\nTo go back, as long as no client has used"
                f" PostgreSQL {run.newer}: {COMMAND} --undo"
            ) from error
