"""What an update asks of Docker: one method for each, so that a test can take the engine's part."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from .. import docker_command, image_transfer
from ..errors import BundleError
from .compose_commands import SERVICE_LABEL
from .image_changes import Model
from .service_starts import ServiceStarts
from .way_back import SchemaVersions

_CHECK_PATIENCE: Final = 600
_LOG_LINES: Final = "20000"
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
class UpdateEngine(ServiceStarts):
    """Docker, for one bundle."""

    def identify(self) -> str:
        """Return the engine's own id."""
        return docker_command.ask("docker", "info", "--format", "{{.ID}}").strip()

    def read_planned(self, compose: bytes) -> Model:
        """Return Compose's model of a compose.yaml that is not on the disk, with the operator's override."""
        override = self.bundle / "compose.override.yaml"
        files = ["-", *([str(override)] if override.exists() else [])]
        command = [shutil.which("docker") or "docker", "compose"]
        command += [part for file in files for part in ("--file", file)]
        command += ["--project-directory", str(self.bundle), "--profile", "tools"]
        answer = docker_command.run_plainly(
            [*command, "config", "--format", "json"], compose.decode()
        )
        if answer.returncode:
            raise BundleError(f"Docker Compose refuses the bundle: {answer.stderr.strip()}")
        return dict(json.loads(answer.stdout))

    def list_containers(self) -> list[RunningContainer]:
        """Return the containers that run."""
        return [
            RunningContainer(
                service=each["Config"]["Labels"][SERVICE_LABEL],
                reference=each["Config"]["Image"],
                image=each["Image"],
            )
            for each in self._inspect()
        ]

    def find_images(self, references: Iterable[str]) -> dict[str, str]:
        """Return the ids of the images that are here, by reference."""
        found = image_transfer.find_images(references)
        return {reference: image.id for reference, image in found.items()}

    def name_image(self, image: str, reference: str) -> None:
        """Give an image another name; BundleError if it is not here."""
        docker_command.ask("docker", "image", "tag", image, reference)

    def remove_image(self, reference: str) -> bool:
        """Remove a name or an image, unless a container uses it; return whether it is gone."""
        done = docker_command.run_plainly(["docker", "image", "rm", reference])
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

    def check(self) -> dict[str, str] | None:
        """Return the rows of the bundle's check: "" for one that holds; None if it did not run."""
        return self._ask_helper("check")

    def find_holes(self) -> dict[str, str] | None:
        """Return what the list of releases calls unsafe in each part, or ""; None if nothing says so."""
        return self._ask_helper("updates")

    def _ask_helper(self, command: str) -> dict[str, str] | None:
        whole = [*self._compose(), "exec", "--no-TTY", "helper", command, "--json"]
        try:
            done = self._run(*whole, stdout=subprocess.PIPE, timeout=_CHECK_PATIENCE)
            rows: list[dict[str, Any]] = json.loads(done.stdout)["checks"]
        except (subprocess.TimeoutExpired, ValueError, KeyError, TypeError):
            return None
        return {row["name"]: "" if row["ok"] else row["detail"] for row in rows}

    def read_recent_log(self, services: Iterable[str]) -> str:
        """Return what services have logged lately."""
        return self._read_log("--tail", _LOG_LINES, *services)

    def read_log(self, services: Iterable[str]) -> str:
        """Return what services have logged since each was started last.

        What they said before, while the database was replaced under them, is no sign of anything.
        """
        starts = {
            each["Config"]["Labels"][SERVICE_LABEL]: each["State"]["StartedAt"]
            for each in self._inspect()
        }
        chosen = [name for name in services if name in starts]
        return "".join(self._read_log("--since", starts[name], name) for name in chosen)

    def _read_log(self, *arguments: str) -> str:
        command = [*self._compose(), "logs", "--no-log-prefix", "--no-color", *arguments]
        return docker_command.run_plainly(command).stdout

    def read_schema(self, image: str) -> SchemaVersions | None:
        """Return what an image of Synapse knows of its database; None if it does not say."""
        options = ["run", "--rm", "--network", "none", "--entrypoint", "python3"]
        done = docker_command.run_plainly(["docker", *options, image, "-c", _SCHEMA])
        words = done.stdout.split()
        if done.returncode or len(words) != 2 or not all(map(str.isdigit, words)):
            return None
        return SchemaVersions(newest=int(words[0]), compatible=int(words[1]))

    def read_compatible(self, database: str) -> int | None:
        """Return the `compat_version` in the bundle's own database; None if it cannot be read."""
        command = [*self._compose(), "exec", "--no-TTY", "postgres", "sh", "-c", _COMPAT, database]
        done = docker_command.run_plainly(command)
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
