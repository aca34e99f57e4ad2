"""The containers of an import: the bundle's own services, with another server's folder mounted read-only."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, cast

from . import docker_command, engine
from .errors import BundleError, SettingsError
from .topology import BACKUP, IMPORT, POSTGRES, SECRETS, SYNAPSE

_LABEL: Final = "synapse-bundle.import"
_VOLUME: Final = "import-source"
_FAILED: Final = (
    "The import failed; see the error above. The other server was not touched. When that is corrected, run"
    " the same command again."
)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the other server is: a folder or a Docker volume; `dump` is its PostgreSQL database as a file."""

    folder: Path | None
    volume: str
    dump: Path | None


@dataclass(frozen=True, kw_only=True)
class ImportProject:
    """The command that runs Compose with the source in the containers."""

    command: tuple[str, ...]
    label: str

    def inspect(self) -> dict[str, Any]:
        """Return what the helper finds in the source; BundleError if it holds no server."""
        done = subprocess.run(
            [*self._run("restore", "--no-deps"), "inspect"],
            check=False,
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise BundleError("The import failed; see the error above. Nothing was changed.")
        return cast("dict[str, Any]", json.loads(done.stdout.strip().splitlines()[-1]))

    def ask_helper(self, step: str) -> None:
        """Run a step in the container of `restore`, with PostgreSQL; BundleError if it fails."""
        if subprocess.run([*self._run("restore"), step], check=False).returncode:
            raise BundleError(_FAILED)

    def ask_synapse(self, script: str, *arguments: str, configuration: Mapping[str, Any]) -> None:
        """Run one of Synapse's scripts, which reads its configuration from standard input."""
        done = subprocess.run(
            [*self._run("synapse", "--no-deps"), f"synapse._scripts.{script}", *arguments],
            check=False,
            input=json.dumps(configuration),
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
            raise BundleError(f"Synapse refuses the database: {reason}\n{_FAILED}")

    def remove_left(self) -> None:
        """Remove the containers of an import that was killed: they would go on writing."""
        asked = ["docker", "ps", "--all", "--quiet", "--filter", f"label={_LABEL}={self.label}"]
        left = docker_command.ask(*asked).split()
        if not left:
            return
        removed = docker_command.run_plainly(["docker", "rm", "--force", *left])
        # One that has ended by itself meanwhile is no fault.
        if removed.returncode and docker_command.ask(*asked).strip():
            raise BundleError(
                f"A container of the import cannot be removed: {removed.stderr.strip()}"
            )

    def _run(self, service: str, *options: str) -> list[str]:
        return [*self.command, "run", "--rm", "--no-TTY", *options, service]


@contextlib.contextmanager
def open_project(bundle: Path, source: Source) -> Iterator[ImportProject]:
    """Yield the project of an import, of which nothing is left behind; SettingsError if the source is used."""
    _require_unused(source)
    label = str(bundle.resolve())
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "import.yaml"
        overlay.write_text(json.dumps(describe(source, label)), encoding="utf-8")
        client = engine.open_client(bundle, overlay)
        project = ImportProject(command=tuple(map(str, client.docker_compose_cmd)), label=label)
        project.remove_left()
        try:
            yield project
        finally:
            project.remove_left()


def describe(source: Source, label: str) -> dict[str, Any]:
    """Return what is merged over compose.yaml; JSON is YAML."""
    place = {"type": "bind", "source": str(source.folder)} if source.folder else {}
    place = place or {"type": "volume", "source": _VOLUME}
    mounts: list[dict[str, Any]] = [{**place, "target": IMPORT.source, "read_only": True}]
    if source.dump:
        dump = {"type": "bind", "source": str(source.dump), "target": IMPORT.dump}
        mounts.append({**dump, "read_only": True})
    # What the helper prints has secrets in it, which no log may keep.
    service = {"labels": {_LABEL: label}, "logging": {"driver": "none"}, "restart": "no"}
    environment = {
        "IMPORT_SOURCE": IMPORT.source,
        "IMPORT_DUMP": IMPORT.dump if source.dump else "none",
        "IMPORT_COPY": IMPORT.copy,
    }
    copy = {"type": "volume", "source": "backup", "target": BACKUP.state}
    helper = {"entrypoint": ["bundle-helper", "import"], "environment": environment}
    # Nowhere else may its user write, and SQLite sorts in files.
    sorting = {"SQLITE_TMPDIR": str(PurePosixPath(IMPORT.copy).parent)}
    program = {"entrypoint": ["python3", "-m"], "command": []}
    synapse = {**program, "environment": sorting, "volumes": [copy]}
    services = {
        "restore": {**service, **helper, "volumes": mounts},
        "synapse": {**service, **synapse},
    }
    volumes = {_VOLUME: {"external": True, "name": source.volume}} if source.volume else {}
    return {"services": services, "volumes": volumes}


def configure(server_name: str, database: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Synapse's scripts need of a configuration."""
    return {
        "server_name": server_name,
        "database": database,
        "signing_key_path": f"{SECRETS}/signing.key",
        # It has to exist, and nothing is put there.
        "media_store_path": SYNAPSE.uploads,
        "report_stats": False,
        "suppress_key_server_warning": True,
        # They wait between two steps, for a server that runs meanwhile.
        "background_updates": {"sleep_enabled": False, "sleep_duration_ms": 1},
    }


def name_copy() -> dict[str, Any]:
    """Return how Synapse reaches the copy of an SQLite database."""
    return {"name": "sqlite3", "args": {"database": IMPORT.copy}}


def name_postgres(password: str) -> dict[str, Any]:
    """Return how Synapse reaches the bundle's PostgreSQL."""
    address = {"host": POSTGRES.host, "port": POSTGRES.port, "database": POSTGRES.database}
    user = {"user": POSTGRES.role, "password": password}
    return {"name": "psycopg2", "args": {**address, **user, "cp_min": 1, "cp_max": 5}}


def _require_unused(source: Source) -> None:
    """Raise SettingsError where a running container has the source, or there is no such volume."""
    if (
        source.volume
        and docker_command.run_plainly(["docker", "volume", "inspect", source.volume]).returncode
    ):
        raise SettingsError(
            f"There is no Docker volume {source.volume}; nothing was changed. `docker volume ls` lists them."
        )
    running = docker_command.ask("docker", "ps", "--quiet").split()
    if not running:
        return
    inspected = docker_command.run_plainly(["docker", "inspect", *running]).stdout
    users = [found["Name"].lstrip("/") for found in json.loads(inspected) if _uses(found, source)]
    if users:
        raise SettingsError(
            f"The container {users[0]} runs and has this server's files; nothing was changed. Stop it first:"
            f" docker stop {users[0]}"
        )


def _uses(container: Mapping[str, Any], source: Source) -> bool:
    for mount in container["Mounts"]:
        if source.volume and mount.get("Name") == source.volume:
            return True
        place = Path(mount.get("Source") or "/")
        if source.folder and place != Path("/") and place.is_relative_to(source.folder):
            return True
    return False
