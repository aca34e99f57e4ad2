"""Where a service's mounts come from: what each volume of the model becomes, and for which pods."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from .cluster_file import ClusterFile, VolumeHints
from .compose_model import ComposeModel, ComposeService, ConversionError, Mount


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """Everything that a conversion starts from."""

    model: ComposeModel
    cluster: ClusterFile
    files: Mapping[str, bytes]

    @property
    def pods(self) -> list[str]:
        """The pods of which the model has services."""
        return [
            name
            for name, plan in self.cluster.pods.items()
            if any(service in self.model.services for service in plan.containers)
        ]

    def members(self, pod: str) -> list[ComposeService]:
        """Return the services of a pod, those that run first before the others."""
        names = self.cluster.pods[pod].members
        return [self.model.services[name] for name in names if name in self.model.services]

    def mounts(self, service: ComposeService) -> list[Mount]:
        """Return what a service mounts in a cluster."""
        return self._mounts[service.name]

    @cached_property
    def _mounts(self) -> dict[str, list[Mount]]:
        return {name: self._place_mounts(each) for name, each in self.model.services.items()}

    def _place_mounts(self, service: ComposeService) -> list[Mount]:
        hint = self.cluster.hint(service.name)
        kept = [mount for mount in service.mounts if mount.source not in hint.without]
        added = [
            Mount(kind="volume", source=volume, target=target)
            for volume, target in hint.mounts.items()
        ]
        return [self._name_volume(mount) for mount in (*kept, *added)]

    def _name_volume(self, mount: Mount) -> Mount:
        """Return a folder that a service writes as the volume that carries it in a cluster."""
        if mount.kind != "bind" or mount.read_only:
            return mount
        volume = self.cluster.volumes.get(mount.source)
        if volume is None:
            raise ConversionError(
                f"nothing in a cluster takes the place of {mount.source}, which a service writes"
            )
        return replace(mount, kind="volume", source=volume.name)

    def hint_volume(self, volume: str) -> VolumeHints:
        """Return how a volume is kept; raises ConversionError for one of the operator's own."""
        by_name = {hints.name or name: hints for name, hints in self.cluster.volumes.items()}
        if volume not in by_name:
            raise ConversionError(
                f"volume {volume!r} is not in cluster.yaml; use a service of yours"
            )
        return by_name[volume]

    def find_users(self, volume: str) -> list[str]:
        """Return the pods that mount a volume, in order."""
        return [
            pod
            for pod in self.pods
            if any(mount.source == volume for s in self.members(pod) for mount in self.mounts(s))
        ]

    def is_standing(self, pod: str) -> bool:
        """Say whether a pod runs all the time, not as a job."""
        return self.cluster.pods[pod].kind != "Job"

    def is_published(self, volume: str, pod: str) -> bool:
        """Say whether a pod gets the files of a volume by the Secret of what is published."""
        return bool(self.hint_volume(volume).published) and not self.cluster.pods[pod].publishes

    def is_claim(self, volume: str, pod: str) -> bool:
        """Say whether a pod mounts a volume that outlives it."""
        hints = self.hint_volume(volume)
        if self.is_published(volume, pod):
            return False
        standing = [user for user in self.find_users(volume) if self.is_standing(user)]
        return not hints.scratch or bool(hints.size and len(standing) > 1)

    def claims(self, pod: str) -> set[str]:
        """Return the volumes of a pod that outlive it."""
        return self._claims[pod]

    @cached_property
    def _claims(self) -> dict[str, set[str]]:
        return {pod: self._find_claims(pod) for pod in self.pods}

    def _find_claims(self, pod: str) -> set[str]:
        sources = {
            m.source for s in self.members(pod) for m in self.mounts(s) if m.kind == "volume"
        }
        return {volume for volume in sources if self.is_claim(volume, pod)}

    def find_neighbor(self, pod: str) -> str | None:
        """Return the pod on whose node a pod has to be, because a claim belongs to one node.

        A job starts beside what keeps running while Synapse is stopped.
        """
        together = self._find_connected(pod)
        if not self.is_standing(pod):
            together = [one for one in together if self.cluster.pods[one].kind == "Deployment"]
        anchor = next(iter(together), pod)
        return None if anchor == pod else anchor

    def _find_connected(self, pod: str) -> list[str]:
        """Return the standing pods that are tied to a pod by claims, in order."""
        found = {pod}
        while (
            more := {
                one for one in self.pods for other in found if self.claims(one) & self.claims(other)
            }
            - found
        ):
            found |= more
        return [one for one in self.pods if one in found and self.is_standing(one)]


def order(bundle: Bundle) -> Iterator[tuple[str, VolumeHints]]:
    """Yield every claim with its hints, by name."""
    for volume in sorted(set[str]().union(*(bundle.claims(pod) for pod in bundle.pods))):
        yield volume, bundle.hint_volume(volume)


def find_networks(bundle: Bundle, services: Iterable[ComposeService]) -> list[str]:
    """Return the networks of services, less those that have all of their members in one pod."""
    shared = []
    for network in sorted({network for service in services for network in service.networks}):
        members = [s.name for s in bundle.model.services.values() if network in s.networks]
        if len({bundle.cluster.find_pod(name) for name in members}) > 1:
            shared.append(network)
    return shared
