"""Services are started, replaced and stopped, and watched meanwhile."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .. import image_transfer, topology
from ..errors import BundleError
from .compose_commands import SERVICE_LABEL, ComposeCommands
from .image_changes import list_synapse

# Seconds between two looks at a start, and how often a container may end before it counts as failed.
_PAUSE: Final = 1.0
_ENDS: Final = 3
_HASH_LABEL: Final = "com.docker.compose.config-hash"


@dataclass(frozen=True, kw_only=True)
class _Restarts:
    """How often a container of a service was started again after it had ended."""

    service: str
    restarts: int
    healthy: bool


@dataclass(frozen=True, kw_only=True)
class ServiceStarts(ComposeCommands):
    """The services of one bundle."""

    def start(self, *services: str) -> None:
        """Start the bundle as it is on the disk, or services of it, and wait until they are healthy.

        BundleError also where one ends again and again, which Compose would wait for as long as a
        start may take.
        """
        before = self._list_restarts()
        unsteady = {each.service for each in before.values() if each.restarts and not each.healthy}
        if unsteady:
            # Until they are replaced they would go on ending, and count as what does not start.
            self.stop(sorted(unsteady))
        elif not services and (replaceable := self._list_replaceable()):
            # What stands before them runs: so nobody waits for its proofs while they are away.
            self._up(before, "--no-deps", *replaceable)
        self._up(before, "--remove-orphans", *services)

    def _list_replaceable(self) -> list[str]:
        """Return the services that run and can be replaced by themselves.

        None where PostgreSQL changes too, which Synapse waits for, or where workers wait for Synapse.
        """
        if len(list_synapse(self.read_present())) > 1:
            return []
        running = {each["Config"]["Labels"][SERVICE_LABEL]: each for each in self._inspect()}
        printed = self._ask(*self._compose(), "config", "--hash", "*").splitlines()
        wanted = dict(line.split() for line in printed)
        database = running.pop(topology.POSTGRES.host, None)
        if database and not _stays(database, wanted):
            return []
        return sorted(running.keys() & wanted.keys())

    def _up(self, before: Mapping[str, _Restarts], *options: str) -> None:
        up = [*self._compose(), "up", "--detach", "--wait", *options]
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

    def _find_ending(self, before: Mapping[str, _Restarts]) -> str:
        """Return a service whose container ends again and again, or an empty string."""
        for container, found in self._list_restarts().items():
            earlier = before[container].restarts if container in before else 0
            # A start by hand begins to count anew.
            if found.restarts - (earlier if found.restarts >= earlier else 0) >= _ENDS:
                return found.service
        return ""

    def _list_restarts(self) -> dict[str, _Restarts]:
        """Return how often the engine has started each container again, by its id."""
        return {
            each["Id"]: _Restarts(
                service=each["Config"]["Labels"][SERVICE_LABEL],
                restarts=each["RestartCount"],
                healthy=(each["State"].get("Health") or {}).get("Status") == "healthy",
            )
            for each in self._inspect("--all")
        }

    def stop(self, services: Iterable[str]) -> None:
        """Stop services."""
        if self._run(*self._compose(), "stop", *services).returncode:
            raise BundleError("A service could not be stopped; see the error above.")


def _stays(container: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    """Return whether Compose would leave a container as it is."""
    labels, reference = container["Config"]["Labels"], container["Config"]["Image"]
    image = image_transfer.find_images([reference]).get(reference)
    same = labels.get(_HASH_LABEL) == wanted.get(labels[SERVICE_LABEL])
    return same and image is not None and image.id == container["Image"]
