"""What an update asks of Docker: one method for each, so that a test can take the engine's part.

Every command inherits the lock on the bundle's folder: what a killed update leaves running keeps the next one
out until it has ended.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from .. import engine, image_transfer
from ..errors import BundleError
from .image_changes import Model
from .way_back import SchemaVersions

_CHECK_PATIENCE: Final = 600
_LOG_LINES: Final = "20000"
# Seconds between two looks at a start, and how often a container may end before it counts as failed.
_PAUSE: Final = 1.0
_ENDS: Final = 3
_SCHEMA: Final = (
    "from synapse.storage.schema import SCHEMA_VERSION, SCHEMA_COMPAT_VERSION;"
    " print(SCHEMA_VERSION, SCHEMA_COMPAT_VERSION)"
)
_COMPAT: Final = (
    'PGPASSWORD="$(cat "$POSTGRES_PASSWORD_FILE")" exec psql --host=127.0.0.1 --username=postgres'
    ' --no-psqlrc --tuples-only --no-align --dbname="$0"'
    ' --command="SELECT compat_version FROM schema_compat_version"'
)


@dataclass(frozen=True, kw_only=True)
class RunningContainer:
    """A container of the bundle: its service, the image it was made of, as name and as id."""

    service: str
    reference: str
    image: str


@dataclass(frozen=True, kw_only=True)
class UpdateEngine:
    """Docker, for the bundle in a folder whose lock is `lock`, a file descriptor; -1 for none."""

    bundle: Path
    lock: int = -1
    # Models by the files that they were read from: Compose takes longer for one than most steps here.
    models: dict[tuple[bytes, ...], Model] = field(default_factory=dict, repr=False)

    def identify(self) -> str:
        """Return the engine's own id."""
        return self._ask("docker", "info", "--format", "{{.ID}}").strip()

    def read_present(self) -> Model:
        """Return Compose's model of the bundle as it is on the disk."""
        paths = [self.bundle / name for name in ("compose.yaml", "compose.override.yaml")]
        content = tuple(path.read_bytes() for path in paths if path.is_file())
        if content not in self.models:
            self.models[content] = engine.read_model(self.bundle)
        return self.models[content]

    def read_planned(self, compose: bytes) -> Model:
        """Return Compose's model of a compose.yaml that is not on the disk, with the operator's override."""
        override = self.bundle / "compose.override.yaml"
        files = ["-", *([str(override)] if override.exists() else [])]
        command = [shutil.which("docker") or "docker", "compose"]
        command += [part for file in files for part in ("--file", file)]
        command += ["--project-directory", str(self.bundle), "--profile", "tools"]
        answer = engine.run_plainly([*command, "config", "--format", "json"], compose.decode())
        if answer.returncode:
            raise BundleError(f"Docker Compose refuses the bundle: {answer.stderr.strip()}")
        return dict(json.loads(answer.stdout))

    def list_containers(self) -> list[RunningContainer]:
        """Return the containers that run."""
        ids = self._ask(*self._compose(), "ps", "--quiet").split()
        found = json.loads(self._ask("docker", "inspect", *ids)) if ids else []
        return [
            RunningContainer(
                service=each["Config"]["Labels"]["com.docker.compose.service"],
                reference=each["Config"]["Image"],
                image=each["Image"],
            )
            for each in found
        ]

    def find_images(self, references: Iterable[str]) -> dict[str, str]:
        """Return the ids of the images that are here, by reference."""
        found = image_transfer.find_images(references)
        return {reference: image.id for reference, image in found.items()}

    def name_image(self, image: str, reference: str) -> None:
        """Give an image another name; BundleError if it is not here."""
        self._ask("docker", "image", "tag", image, reference)

    def remove_image(self, reference: str) -> bool:
        """Remove a name or an image, unless a container uses it; return whether it is gone."""
        done = engine.run_plainly(["docker", "image", "rm", reference])
        return not done.returncode or "no such image" in done.stderr.lower()

    def pull(self, reference: str) -> str:
        """Pull an image; return why that failed, or an empty string."""
        done = self._run("docker", "pull", reference, stderr=subprocess.PIPE)
        return (done.stderr.strip() or "no reason given") if done.returncode else ""

    def build(self, services: Iterable[str]) -> None:
        """Build the images of services, using nothing of an earlier build."""
        command = [*self._compose(), "--profile", "tools", "build", "--no-cache", *services]
        if self._run(*command).returncode:
            raise BundleError("An image could not be built; see the error above.")

    def start(self, *services: str) -> None:
        """Start the bundle as it is on the disk, or services of it, and wait until they are healthy.

        BundleError also where one ends again and again, which Compose would wait for as long as a
        start may take.
        """
        before = self._count_restarts()
        up = [*self._compose(), "up", "--detach", "--wait", "--remove-orphans", *services]
        with subprocess.Popen(up, stdin=subprocess.DEVNULL, pass_fds=self._inherited) as process:
            while not self._has_ended(process):
                if ending := self._find_ending(before):
                    process.terminate()
                    raise BundleError(f"{ending} does not start: it has ended {_ENDS} times.")
        if process.returncode:
            raise BundleError("The bundle did not start; see the error above.")

    def _has_ended(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait a moment, and return whether a process has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PAUSE)
        return process.returncode is not None

    def _find_ending(self, before: Mapping[str, int]) -> str:
        """Return a service whose container ends again and again, or an empty string."""
        counts = self._count_restarts()
        ended = [name for name, count in counts.items() if count - before.get(name, 0) >= _ENDS]
        return ended[0].partition(" ")[0] if ended else ""

    def _count_restarts(self) -> dict[str, int]:
        """Return how often the engine has started each container again, by service and container."""
        ids = engine.run_plainly([*self._compose(), "ps", "--all", "--quiet"]).stdout.split()
        form = '{{index .Config.Labels "com.docker.compose.service"}} {{.Id}} {{.RestartCount}}'
        listed = engine.run_plainly(["docker", "inspect", "--format", form, *ids]).stdout
        rows = (line.rpartition(" ") for line in listed.splitlines())
        return {name: int(count) for name, _, count in rows}

    def stop(self, services: Iterable[str]) -> None:
        """Stop services."""
        if self._run(*self._compose(), "stop", *services).returncode:
            raise BundleError("Synapse could not be stopped; see the error above.")

    def check(self) -> Mapping[str, str] | None:
        """Return the rows of the bundle's check that failed, with what they say; None if it did not run."""
        return self._ask_helper("check")

    def find_holes(self) -> Mapping[str, str] | None:
        """Return the parts that the list of releases calls unsafe; None if the helper does not say."""
        return self._ask_helper("updates")

    def _ask_helper(self, command: str) -> dict[str, str] | None:
        """Return the rows of a table of the helper's that failed; None if there is none."""
        whole = [*self._compose(), "exec", "--no-TTY", "helper", command, "--json"]
        try:
            done = self._run(*whole, stdout=subprocess.PIPE, timeout=_CHECK_PATIENCE)
            rows: list[dict[str, Any]] = json.loads(done.stdout)["checks"]
        except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
            return None
        return {row["name"]: row["detail"] for row in rows if not row["ok"]}

    def read_log(self, services: Iterable[str], since: datetime | None) -> str:
        """Return what services have logged, since a moment or lately."""
        window = ["--since", since.isoformat()] if since else ["--tail", _LOG_LINES]
        command = [*self._compose(), "logs", "--no-log-prefix", "--no-color", *window, *services]
        return engine.run_plainly(command).stdout

    def read_schema(self, image: str) -> SchemaVersions | None:
        """Return what an image of Synapse knows of its database; None if it does not say."""
        options = ["run", "--rm", "--network", "none", "--entrypoint", "python3"]
        done = engine.run_plainly(["docker", *options, image, "-c", _SCHEMA])
        words = done.stdout.split()
        if done.returncode or len(words) != 2 or not all(map(str.isdigit, words)):
            return None
        return SchemaVersions(newest=int(words[0]), compatible=int(words[1]))

    def read_compatible(self, database: str) -> int | None:
        """Return the `compat_version` in the bundle's own database; None if it cannot be read."""
        command = [*self._compose(), "exec", "--no-TTY", "postgres", "sh", "-c", _COMPAT, database]
        done = engine.run_plainly(command)
        text = done.stdout.strip()
        return int(text) if not done.returncode and text.isdigit() else None

    def make_set(self) -> str:
        """Make a set, and return its name; BundleError if there is none."""
        run = [*self._compose(), "run", "--rm", "--no-TTY", "backup"]
        if self._run(*run, "now").returncode:
            raise BundleError("No set was made; see the error above.")
        done = self._run(*run, "list", stdout=subprocess.PIPE)
        if done.returncode or not done.stdout.split():
            raise BundleError(
                "The set that was made is not in the repository; see the error above."
            )
        return str(done.stdout.split()[0])

    def restore_database(self, set_name: str) -> None:
        """Replace the database by that of a set of this very server; the files stay."""
        run = [*self._compose(), "run", "--rm", "--no-TTY", "restore", "--database", set_name]
        if self._run(*run).returncode:
            raise BundleError(f"The set {set_name} was not restored; see the error above.")

    @property
    def _inherited(self) -> tuple[int, ...]:
        return (self.lock,) if self.lock >= 0 else ()

    def _compose(self) -> list[str]:
        return list(map(str, engine.open_client(self.bundle).docker_compose_cmd))

    def _ask(self, *command: str) -> str:
        done = engine.run_plainly(list(command))
        if done.returncode:
            said = done.stderr.strip() or "no reason given"
            raise BundleError(f"`{' '.join(command[:3])}` failed: {said}")
        return done.stdout

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
