"""Faults to seed into correct manifests, and the step that finds each: what the ladder of checks is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

Manifest = dict[str, Any]


class Step(Enum):
    """The first step that finds a fault."""

    LAWS = "our own laws: neither schema nor server objects"
    SCHEMA = "the strict schemas of Kubernetes"
    SERVER = "an API server, by a dry run of the objects"
    POD = "an API server, by a dry run of a pod template as a pod of its own"


@dataclass(frozen=True, kw_only=True)
class SeededFault:
    """A fault; `seed` puts it into the objects of a conversion, in place."""

    name: str
    step: Step
    seed: Callable[[list[Manifest]], None]


def find(objects: list[Manifest], kind: str, name: str) -> Manifest:
    """Return one object."""
    return next(o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name)


def _synapse(objects: list[Manifest]) -> Manifest:
    spec: Manifest = find(objects, "StatefulSet", "synapse")["spec"]["template"]["spec"]
    return spec


def _container(objects: list[Manifest]) -> Manifest:
    container: Manifest = _synapse(objects)["containers"][0]
    return container


def _apache(objects: list[Manifest]) -> Manifest:
    containers = _edge(objects)["template"]["spec"]["containers"]
    container: Manifest = next(each for each in containers if each["name"] == "apache")
    return container


def _edge(objects: list[Manifest]) -> Manifest:
    spec: Manifest = find(objects, "Deployment", "edge")["spec"]
    return spec


def _mount_twice(objects: list[Manifest]) -> None:
    mounts = _container(objects)["volumeMounts"]
    mounts.append({**mounts[0], "mountPath": mounts[1]["mountPath"]})


def _name_key_with_slash(objects: list[Manifest]) -> None:
    find(objects, "ConfigMap", "apache")["data"]["well-known/server.json"] = "{}"


def _name_port(objects: list[Manifest]) -> None:
    port = {"containerPort": 443, "name": "client-and-federation"}
    _apache(objects)["ports"] = [port]


def _name_service(objects: list[Manifest]) -> None:
    find(objects, "Service", "synapse")["metadata"]["name"] = "second_synapse"


def _lengthen_label(objects: list[Manifest]) -> None:
    find(objects, "StatefulSet", "synapse")["spec"]["template"]["metadata"]["labels"]["long"] = (
        "x" * 64
    )


def _use_memory_medium(objects: list[Manifest]) -> None:
    volumes = find(objects, "StatefulSet", "postgres")["spec"]["template"]["spec"]["volumes"]
    next(v for v in volumes if "emptyDir" in v)["emptyDir"]["medium"] = "tmpfs"


def _stop_rolling(objects: list[Manifest]) -> None:
    _edge(objects)["strategy"]["rollingUpdate"] = {"maxSurge": 0, "maxUnavailable": 0}


def _select_others(objects: list[Manifest]) -> None:
    _edge(objects)["selector"]["matchLabels"] = {"app.kubernetes.io/name": "other"}


def _raise_request(objects: list[Manifest]) -> None:
    resources = _container(objects)["resources"]
    resources["requests"]["memory"] = "1000Gi"


def _add_capability(objects: list[Manifest]) -> None:
    _container(objects)["securityContext"]["capabilities"]["add"] = ["CAP_SYS_ADMIN"]


def _add_variable(
    name: str, part: Callable[[list[Manifest]], Manifest] = _container
) -> Callable[[list[Manifest]], None]:
    def seed(objects: list[Manifest]) -> None:
        part(objects)["env"].append({"name": name, "value": "x"})

    return seed


def _set(part: Callable[[list[Manifest]], Manifest], key: str, value: Any) -> Callable[..., None]:
    def seed(objects: list[Manifest]) -> None:
        part(objects)[key] = value

    return seed


def _probe(objects: list[Manifest]) -> Manifest:
    action = {"httpGet": {"path": "/health", "port": 8008}}
    probe: Manifest = _container(objects).setdefault("livenessProbe", action)
    return probe


def _limits(objects: list[Manifest]) -> Manifest:
    limits: Manifest = _container(objects)["resources"]["limits"]
    return limits


def _security(objects: list[Manifest]) -> Manifest:
    security: Manifest = _container(objects)["securityContext"]
    return security


def _apache_security(objects: list[Manifest]) -> Manifest:
    security: Manifest = _apache(objects)["securityContext"]
    return security


FAULTS: Final = (
    SeededFault(
        name="user and group as one text",
        step=Step.SCHEMA,
        seed=_set(_security, "runAsUser", "991:991"),
    ),
    SeededFault(name="replicas as text", step=Step.SCHEMA, seed=_set(_edge, "replicas", "2")),
    SeededFault(
        name="a field of Compose", step=Step.SCHEMA, seed=_set(_container, "mem_limit", "1g")
    ),
    SeededFault(name="half a second", step=Step.SCHEMA, seed=_set(_probe, "periodSeconds", 0.5)),
    SeededFault(
        name="a restart policy of Compose",
        step=Step.SERVER,
        seed=_set(_synapse, "restartPolicy", "unless-stopped"),
    ),
    SeededFault(name="a key with a slash", step=Step.SERVER, seed=_name_key_with_slash),
    SeededFault(name="a selector of other pods", step=Step.SERVER, seed=_select_others),
    SeededFault(name="a port's name of 21 characters", step=Step.SERVER, seed=_name_port),
    SeededFault(name="an underscore in a Service", step=Step.SERVER, seed=_name_service),
    SeededFault(name="a label of 64 characters", step=Step.SERVER, seed=_lengthen_label),
    SeededFault(
        name="memory as Compose writes it",
        step=Step.SERVER,
        seed=_set(_limits, "memory", "536870912b"),
    ),
    SeededFault(name="a rollout that cannot move", step=Step.SERVER, seed=_stop_rolling),
    SeededFault(
        name="a variable with a space", step=Step.SERVER, seed=_add_variable("A B", _apache)
    ),
    SeededFault(
        name="an old name of the seccomp profile",
        step=Step.SERVER,
        seed=_set(_apache_security, "seccompProfile", {"type": "runtime/default"}),
    ),
    SeededFault(
        name="a mount without its volume",
        step=Step.POD,
        seed=lambda objects: _synapse(objects)["volumes"].pop(),
    ),
    SeededFault(name="two mounts in one place", step=Step.POD, seed=_mount_twice),
    SeededFault(name="a request above its limit", step=Step.POD, seed=_raise_request),
    SeededFault(
        name="a liveness probe that has to succeed twice",
        step=Step.POD,
        seed=_set(_probe, "successThreshold", 2),
    ),
    SeededFault(
        name="a capability that escalation would need", step=Step.POD, seed=_add_capability
    ),
    SeededFault(
        name="a negative time to end",
        step=Step.LAWS,
        seed=_set(_synapse, "terminationGracePeriodSeconds", -1),
    ),
    SeededFault(name="a variable twice", step=Step.LAWS, seed=_add_variable("PYTHONMALLOC")),
    SeededFault(name="a medium that does not exist", step=Step.LAWS, seed=_use_memory_medium),
)
assert len(FAULTS) == 22
