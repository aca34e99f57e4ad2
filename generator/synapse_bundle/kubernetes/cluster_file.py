"""cluster.yaml of the bundle: which services share a pod, and what else compose.yaml does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from .compose_model import ConversionError

NAME: Final = "cluster.yaml"
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, kw_only=True)
class PodPlan:
    """One pod: `first` runs once before its `containers`; `group` owns what it mounts.

    `user` replaces root. `publishes` is where a token lies with which it may write the one Secret
    of what it publishes.
    """

    kind: str
    containers: tuple[str, ...]
    group: int
    first: tuple[str, ...] = ()
    user: int = 0
    replicas: int = 1
    parallel: bool = False
    waits: tuple[str, ...] = ()
    publishes: str = ""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def members(self) -> tuple[str, ...]:
        """Every service in it."""
        return (*self.first, *self.containers)


@dataclass(frozen=True, kw_only=True)
class ServiceHints:
    """What a service has in a cluster alone; `without` are volumes and sources that it does not mount.

    Its `port` is open to every network of it, one of its `private` ports to the named one alone. An `early`
    one, of which there is one pod, can be reached before it is ready. `foreign`
    are Secrets beside the service's own, each with the path of the one file that is mounted of it.
    """

    port: int = 0
    early: bool = False
    private: Mapping[str, int] = field(default_factory=dict)
    health: str = ""
    alive: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    before_end: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    mounts: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class VolumeHints:
    """How a volume is kept: as a claim of `size`, or a `scratch` directory that ends with its pod.

    `published` are the files of it that other pods get by a Secret; `filled` is a folder of the
    helper's image that it begins with, `seed` a file of the bundle.
    """

    size: str = ""
    scratch: str = ""
    name: str = ""
    published: tuple[str, ...] = ()
    filled: str = ""
    seed: str = ""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """What runs before a pod's services until something else is there; `folder` has its `secrets`."""

    command: tuple[str, ...]
    environment: Mapping[str, str]
    secrets: tuple[str, ...] = ()
    folder: str = ""
    foreign: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Outside:
    """Where a network leads to: one port, of these `pods` by their labels, or else of any address."""

    port: int
    pods: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DatabaseCluster:
    """What CloudNativePG makes; `password` is the name of a file in secrets/."""

    name: str
    instances: int
    size: str
    memory: str
    database: str
    owner: str
    password: str
    port: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ClusterFile:
    """All of it; `preparation` is the image of what runs before the services.

    `addresses` are what is fixed in Compose, with the name that takes its place; `outside` is where a
    network leads to, by its name; `postgresql` is there if an operator runs it.
    """

    namespace: str
    pods: Mapping[str, PodPlan]
    services: Mapping[str, ServiceHints]
    volumes: Mapping[str, VolumeHints]
    waits: Mapping[str, Wait]
    published: str
    preparation: str
    addresses: Mapping[str, str]
    registry: str
    outside: Mapping[str, Outside]
    postgresql: DatabaseCluster | None

    def hint(self, service: str) -> ServiceHints:
        """Return the hints for a service, which may have none."""
        return self.services.get(service, ServiceHints())

    def find_pod(self, service: str) -> str:
        """Return the pod of a service; raises ConversionError for one that is in none."""
        for name, pod in self.pods.items():
            if service in pod.members:
                return name
        raise ConversionError(
            f"service {service!r} is not in {NAME}; a service of your own needs a manifest of your own"
        )


def read_cluster_file(files: Mapping[str, bytes]) -> ClusterFile:
    """Return what the bundle says; raises ConversionError where it does not or is damaged."""
    if NAME not in files:
        raise ConversionError(
            f"the bundle has no {NAME}; write it with this version: synapse-bundle generate"
        )
    try:
        document = yaml.load(files[NAME], Loader=_LOADER)  # noqa: S506
        return ClusterFile(
            namespace=document["namespace"],
            pods={name: PodPlan(**_freeze(each)) for name, each in document["pods"].items()},
            services={
                name: ServiceHints(**_freeze(each)) for name, each in document["services"].items()
            },
            volumes={
                name: VolumeHints(**_freeze(each)) for name, each in document["volumes"].items()
            },
            waits={name: Wait(**_freeze(each)) for name, each in document["waits"].items()},
            published=document["published"],
            preparation=document["preparation"],
            addresses=document["addresses"] or {},
            registry=document.get("registry") or "",
            outside={
                name: Outside(**each) for name, each in (document.get("outside") or {}).items()
            },
            postgresql=DatabaseCluster(**found) if (found := document.get("postgresql")) else None,
        )
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ConversionError(f"{NAME} cannot be used: {error}") from error


def _freeze(block: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in block.items()}
