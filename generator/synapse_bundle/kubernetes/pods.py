"""Services that belong together -> one pod template."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, Final

from .cluster_file import PodPlan, VolumeHints
from .containers import build_container, build_environment, build_preparation
from .mounting import PARTS, WAIT, WHOLE, PodVolumes, find_beginnings
from .objects import Manifest, label_pod
from .storage import Bundle, find_networks

_INPUTS: Final = "synapse-bundle.inputs"
_HOUSEHOLD: Final = "synapse-bundle.household"
_TOKEN_SECONDS: Final = 3600
_SEED: Final = 'test -e "$2" || { install -m 0660 "$1" "$2.new" && mv "$2.new" "$2"; }'


def build_template(bundle: Bundle, pod: str) -> Manifest:
    """Return the template of a pod."""
    plan, services = bundle.cluster.pods[pod], bundle.members(pod)
    volumes = PodVolumes(bundle, pod)
    user = plan.user or services[0].uid
    first = _build_preparations(bundle, pod, volumes, user)
    containers: list[Manifest] = []
    for service in services:
        hint = bundle.cluster.hint(service.name)
        built = build_container(service, hint, plan, volumes.mount(service))
        (first if service.name in plan.first else containers).append(built)
    if plan.publishes:
        containers[0]["volumeMounts"].append(_mount_access(plan, volumes))
    spec = _build_spec(bundle, pod, plan)
    spec["terminationGracePeriodSeconds"] = max(service.grace for service in services) + (
        5 if any(bundle.cluster.hint(service.name).before_end for service in services) else 0
    )
    spec |= {"initContainers": first} if first else {}
    spec |= {"containers": containers, "volumes": volumes.to_list()}
    networks = {f"network/{name}": "true" for name in find_networks(bundle, services)}
    inputs = " ".join(f"{service.name}={service.inputs}" for service in services)
    labels = label_pod(pod) | _label_household(bundle, pod) | networks
    metadata = {"labels": labels, "annotations": {_INPUTS: inputs}}
    return {"metadata": metadata, "spec": spec}


def _build_spec(bundle: Bundle, pod: str, plan: PodPlan) -> Manifest:
    services = bundle.members(pod)
    others = {group for service in services for group in service.groups}
    security: Manifest = {
        "fsGroup": plan.group,
        "fsGroupChangePolicy": "OnRootMismatch",
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if others:
        security["supplementalGroups"] = sorted(others)
    if plan.sysctls:
        security["sysctls"] = [
            {"name": key, "value": value} for key, value in sorted(plan.sysctls.items())
        ]
    spec: Manifest = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": security,
    }
    hostname = next((service.hostname for service in services if service.hostname), "")
    if hostname:
        spec["hostname"] = hostname
    if plan.publishes:
        spec["serviceAccountName"] = pod
    if plan.aliases:
        spec["hostAliases"] = [
            {"ip": address, "hostnames": list(names)} for address, names in plan.aliases.items()
        ]
    return spec | _place(bundle, pod, plan)


def _place(bundle: Bundle, pod: str, plan: PodPlan) -> Manifest:
    """Return where a pod may run: replicas apart, and in one place what shares claims."""
    if plan.replicas > 1:
        constraint = {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": label_pod(pod)},
        }
        return {"topologySpreadConstraints": [constraint]}
    household = _label_household(bundle, pod)
    if not household:
        return {}
    # It matches the pod itself too: so the first of them may start anywhere, whichever it is.
    term = {
        "labelSelector": {"matchLabels": household},
        "topologyKey": "kubernetes.io/hostname",
    }
    required = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {"affinity": {"podAffinity": required}}


def _label_household(bundle: Bundle, pod: str) -> dict[str, str]:
    household = bundle.find_household(pod)
    return {_HOUSEHOLD: household} if household else {}


def _build_preparations(bundle: Bundle, pod: str, volumes: PodVolumes, user: int) -> list[Manifest]:
    """Return what runs before a pod's services: volumes that begin with something, then waits."""
    plan, image = bundle.cluster.pods[pod], bundle.cluster.preparation
    seeds = [
        _build_fill(volume, hint, image, user, volumes)
        for volume, hint in find_beginnings(bundle, pod)
    ]
    if any(mount.source == "." for service in bundle.members(pod) for mount in service.mounts):
        seeds.append(_build_copy(image, user))
    return seeds + [_build_wait(bundle, name, image, user, volumes) for name in plan.waits]


def _build_fill(
    volume: str, hint: VolumeHints, image: str, user: int, volumes: PodVolumes
) -> Manifest:
    if hint.filled:
        # Elsewhere: at its own place it would hide what it is to be filled with.
        mount: Manifest = {"name": volume, "mountPath": "/filled"}
        command = ("cp", "-R", "--", f"{hint.filled}/.", "/filled")
        return build_preparation(f"fill-{volume}", image, command, user, volumeMounts=[mount])
    key = PurePosixPath(hint.seed).name
    secret = {"secret": {"secretName": f"seed-{volume}", "defaultMode": 0o440}}
    mounts = [
        {"name": volume, "mountPath": "/seeded"},
        volumes.add(f"seed-{volume}", secret, "/seed", read_only=True),
    ]
    seed = ("sh", "-c", _SEED, "seed", f"/seed/{key}", f"/seeded/{key}")
    return build_preparation(f"seed-{volume}", image, seed, user, volumeMounts=mounts)


def _build_copy(image: str, user: int) -> Manifest:
    """Return what puts the bundle's folder together."""
    mounts: list[Manifest] = [
        {"name": WHOLE, "mountPath": "/filled"},
        {"name": PARTS, "mountPath": "/parts", "readOnly": True},
    ]
    # The kubelet's own name of the folder that the links lead to.
    command = ("cp", "-R", "--", "/parts/..data/.", "/filled")
    return build_preparation("fill-bundle", image, command, user, volumeMounts=mounts)


def _build_wait(bundle: Bundle, name: str, image: str, user: int, volumes: PodVolumes) -> Manifest:
    wait = bundle.cluster.waits[name]
    more: dict[str, Any] = {"env": build_environment(wait.environment)}
    if wait.secrets:
        secret = {"secret": {"secretName": WAIT, "defaultMode": 0o440}}
        mounts = [volumes.add(WAIT, secret, wait.folder, read_only=True)]
        more["volumeMounts"] = mounts + volumes.mount_foreign(wait.foreign)
    return build_preparation(f"wait-{name}", image, wait.command, user, **more)


def _mount_access(plan: PodPlan, volumes: PodVolumes) -> Manifest:
    """Mount the token with which the helper may write what it publishes, and nothing else."""
    token = {"path": "token", "expirationSeconds": _TOKEN_SECONDS}
    roots = {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}
    sources = [{"serviceAccountToken": token}, {"configMap": roots}]
    access = {"projected": {"sources": sources, "defaultMode": 0o440}}
    return volumes.add("access", access, plan.publishes, read_only=True)
