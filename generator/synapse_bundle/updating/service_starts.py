"""Services are started, replaced and stopped, and watched meanwhile."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any, Final

from .. import docker_command, image_transfer, topology
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
        elif not services:
            for service, container in self._list_replaceable():
                self._replace(service, container)
        self._up(before, "--remove-orphans", *services)

    def _list_replaceable(self) -> list[tuple[str, str]]:
        """Return the services that change and can be replaced by themselves, with their containers' names.

        Each comes after what it needs. None where PostgreSQL changes too, or where workers wait for Synapse.
        """
        model = self.read_present()
        if len(list_synapse(model)) > 1:
            return []
        found = {each["Config"]["Labels"][SERVICE_LABEL]: each for each in self._inspect("--all")}
        printed = docker_command.ask(*self._compose(), "config", "--hash", "*").splitlines()
        wanted = dict(line.split() for line in printed)
        changed = {name for name in found.keys() & wanted.keys() if not _stays(found[name], wanted)}
        if topology.POSTGRES.host in changed:
            return []
        # The bootstrap has run; what else does not run stays for Compose.
        chosen = {name for name in changed if found[name]["State"]["Running"]}
        chosen |= changed & {topology.BOOTSTRAP.host}
        needs = {name: each.get("depends_on", {}) for name, each in model["services"].items()}
        order = TopologicalSorter(needs).static_order()
        return [(name, found[name]["Name"].removeprefix("/")) for name in order if name in chosen]

    def _replace(self, service: str, container: str) -> None:
        """Replace the container of one service, and start it without waiting for what it depends on.

        What stands before it runs, so nobody waits for its proofs while it is away. Not by `up --no-deps`:
        that notes a definition without `depends_on`, for which the next `up` would replace it once more.
        """
        fault = f"{service} was not replaced; see the error above."
        if self._run(*self._compose(), "create", service).returncode:
            raise BundleError(fault)
        # The bootstrap proves what the others then find.
        attached = ["--attach"] if service == topology.BOOTSTRAP.host else []
        start = ["docker", "start", *attached, container]
        if self._run(*start, stdout=subprocess.DEVNULL).returncode:
            raise BundleError(fault)
        # Compose, which computes, would make it start slower.
        time.sleep(_PAUSE)

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
