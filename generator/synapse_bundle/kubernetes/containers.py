"""One service -> one container."""

from __future__ import annotations

from typing import Any

from .cluster_file import PodPlan, ServiceHints
from .compose_model import ComposeService, HealthCheck
from .objects import Manifest

_MIB = 1024**2
_CPU_REQUEST = "50m"
# A start is looked at often, and for a day: a probe that gives up ends the container, and a crash
# recovery or a schema migration with it.
_START_PERIOD, _START_LIMIT = 2, 24 * 3600
# Seconds between two looks at what a Service leads to: a question of the kubelet's own costs next to
# nothing, a program in a container a tenth of a second. What fails for as long as Kubernetes itself
# would put up with it is led to no more.
_ASKED_PERIOD, _RUN_PERIOD, _SERVING_LIMIT = 5, 10, 30


def build_container(
    service: ComposeService, hint: ServiceHints, plan: PodPlan, mounts: list[Manifest]
) -> Manifest:
    """Return the container of a service; no limit of processor time, which would slow long polls."""
    environment = {**service.environment, **hint.environment}
    user, group = (plan.user, plan.user) if service.uid == 0 else (service.uid, service.gid)
    container: Manifest = {"name": service.name, "image": service.image}
    if service.entrypoint:
        container["command"] = [escape(part) for part in service.entrypoint]
    if hint.command or service.command:
        container["args"] = [escape(part) for part in hint.command or service.command]
    if hint.port:
        ports = [hint.port, *hint.private.values()]
        container["ports"] = [{"containerPort": port} for port in ports]
    container["env"] = build_environment(environment)
    container["resources"] = build_resources(service.memory)
    container["securityContext"] = build_security(user, group)
    container["volumeMounts"] = mounts
    if service.name not in plan.first:
        container |= _build_probes(service.health, hint)
    if hint.before_end:
        container["lifecycle"] = {"preStop": {"exec": {"command": list(hint.before_end)}}}
    return container


def build_preparation(
    name: str, image: str, command: tuple[str, ...], user: int, **more: Any
) -> Manifest:
    """Return what runs before a pod's services, in the helper's image."""
    return {
        "name": name,
        "image": image,
        "command": [escape(part) for part in command],
        "resources": build_resources(128 * _MIB),
        "securityContext": build_security(user, user),
        **more,
    }


def build_environment(values: Any) -> list[Manifest]:
    """Return environment variables, sorted."""
    return [{"name": key, "value": escape(value)} for key, value in sorted(values.items())]


def build_resources(memory: int) -> Manifest:
    """Return a limit of memory, and a request of half as much."""
    return {
        "limits": {"memory": f"{memory // _MIB}Mi"},
        "requests": {"cpu": _CPU_REQUEST, "memory": f"{memory // _MIB // 2}Mi"},
    }


def build_security(user: int, group: int) -> Manifest:
    """Return what Pod Security calls restricted, for one container."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsGroup": group,
        "runAsUser": user,
    }


def escape(text: str) -> str:
    """Return a text in which Kubernetes finds no variable to put in."""
    return text.replace("$(", "$$(")


def _build_probes(health: HealthCheck | None, hint: ServiceHints) -> Manifest:
    """Return the probes; none that kills for silence, which in a schema migration destroys hours."""
    if health is None:
        return {}
    action: Manifest = {"exec": {"command": list(health.command)}}
    if hint.health:
        action = {"httpGet": {"path": hint.health, "port": hint.port}}
    ready = {"periodSeconds": health.interval, "failureThreshold": health.retries}
    if hint.health or hint.alive or (hint.port and not hint.early):
        period = _ASKED_PERIOD if hint.health else _RUN_PERIOD
        ready = {"periodSeconds": period, "failureThreshold": _SERVING_LIMIT // period}
    ready["timeoutSeconds"] = health.timeout
    if hint.alive:
        # No probe of the start: it would keep the one that ends a container from running.
        end = {"exec": {"command": list(hint.alive)}, "periodSeconds": 20, "timeoutSeconds": 10}
        return {"readinessProbe": action | ready, "livenessProbe": end | {"failureThreshold": 1}}
    start = {"periodSeconds": _START_PERIOD, "timeoutSeconds": health.timeout}
    start["failureThreshold"] = _START_LIMIT // _START_PERIOD
    return {"readinessProbe": action | ready, "startupProbe": action | start}
