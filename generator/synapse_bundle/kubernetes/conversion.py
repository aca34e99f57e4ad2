"""The Compose model and the bundle's files -> manifests. Pure: no disk, no engine, no clock."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

import yaml

from .bundle_files import SECRETS, name_keys, read_one, select
from .cluster_file import read_cluster_file
from .compose_model import read_model
from .database_cluster import build_database
from .mounting import WAIT, divide_bundle
from .network_policies import build_policies
from .objects import (
    Manifest,
    build,
    build_claim,
    build_config_map,
    build_secret,
    name,
)
from .storage import Bundle, order
from .workloads import build_workloads

_HEADER: Final = "# Written by synapse-bundle; a change by hand is lost with the next conversion.\n"
_KUSTOMIZATION: Final = "kustomization.yaml"


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]  # chosen at run time
    """Writes what occurs twice twice, as people expect of a manifest."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def convert(document: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the files of a folder that `kubectl apply -k` takes, by path.

    Raises ConversionError where the bundle has something that a cluster cannot have.
    """
    cluster = read_cluster_file(files)
    bundle = Bundle(model=read_model(document), cluster=cluster, files=files)
    for service in bundle.model.services:
        cluster.find_pod(service)
    standing = [pod for pod in bundle.pods if bundle.is_standing(pod)]
    groups = {
        "namespace": [_build_namespace(cluster.namespace)],
        "secrets": _build_secrets(bundle),
        "configuration": _build_configuration(bundle),
        "volumes": [build_claim(v, cluster.namespace, h.size) for v, h in order(bundle)],
        "networks": build_policies(bundle),
        "access": _build_access(bundle),
        "database": build_database(bundle),
        **{pod: build_workloads(bundle, pod) for pod in standing},
    }
    written = {f"{title}.yaml": _write(*objects) for title, objects in groups.items() if objects}
    written[_KUSTOMIZATION] = _write(_build_kustomization(bundle, sorted(written)))
    for pod in bundle.pods:
        if pod not in standing:
            written[f"{pod}/job.yaml"] = _write(*build_workloads(bundle, pod))
            written[f"{pod}/{_KUSTOMIZATION}"] = _write(_build_kustomization(bundle, ["job.yaml"]))
    return written


def _build_namespace(title: str) -> Manifest:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": title, "labels": labels}}


def _build_secrets(bundle: Bundle) -> list[Manifest]:
    namespace, wanted = bundle.cluster.namespace, _find_secrets(bundle)
    made = [
        build_secret(
            title, namespace, {key: read_one(bundle.files, path) for key, path in keys.items()}
        )
        for title, keys in sorted(wanted.items())
    ]
    return made + [
        build_secret(title, namespace, _key(part))
        for kind, title, part in _divide_whole(bundle)
        if kind == "secret"
    ]


def _find_secrets(bundle: Bundle) -> dict[str, dict[str, str]]:
    """Return the Secrets, each with its keys and the files they hold: one for each service."""
    wanted: dict[str, dict[str, str]] = {}
    for pod in bundle.pods:
        for service in bundle.members(pod):
            for mount in bundle.mounts(service):
                if mount.kind == "bind" and mount.source.startswith(f"./{SECRETS}"):
                    key = PurePosixPath(mount.target).name
                    wanted.setdefault(service.name, {})[key] = mount.source.removeprefix("./")
    for title in {title for pod in bundle.pods for title in bundle.cluster.pods[pod].waits}:
        for key in bundle.cluster.waits[title].secrets:
            wanted.setdefault(WAIT, {})[key] = f"{SECRETS}{key}"
    for volume, hints in order(bundle):
        if hints.seed:
            wanted[f"seed-{volume}"] = {PurePosixPath(hints.seed).name: hints.seed}
    return wanted


def _key(contents: Mapping[str, bytes]) -> dict[str, bytes]:
    return {key: contents[path] for path, key in name_keys(contents).items()}


def _rename(bundle: Bundle, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return contents by key, with names in place of what is a fixed address in Compose."""
    renamed = _key(contents)
    for address, title in bundle.cluster.addresses.items():
        pattern = rf"(?<![\d.]){re.escape(address)}(?![\d.])".encode()
        renamed = {
            key: re.sub(pattern, title.encode(), content) for key, content in renamed.items()
        }
    return renamed


def _divide_whole(bundle: Bundle) -> list[tuple[str, str, dict[str, bytes]]]:
    """Return the parts of the whole folder, if a service mounts it."""
    mounts = [m for pod in bundle.pods for s in bundle.members(pod) for m in bundle.mounts(s)]
    return divide_bundle(bundle) if any(mount.source == "." for mount in mounts) else []


def _build_configuration(bundle: Bundle) -> list[Manifest]:
    """Return a ConfigMap for each folder that a service mounts, and the parts of the whole."""
    namespace = bundle.cluster.namespace
    folders = {
        mount.source.removeprefix("./")
        for pod in bundle.pods
        for service in bundle.members(pod)
        for mount in bundle.mounts(service)
        if mount.kind == "bind"
        and mount.source.startswith("./")
        and not mount.source.startswith(f"./{SECRETS}")
    }
    made = [
        build_config_map(name(folder), namespace, _rename(bundle, select(bundle.files, folder)))
        for folder in sorted(folders)
    ]
    return made + [
        build_config_map(title, namespace, _key(part))
        for kind, title, part in _divide_whole(bundle)
        if kind == "configMap"
    ]


def _build_access(bundle: Bundle) -> list[Manifest]:
    """Return the Secret that one pod writes and others mount, and the right to write that alone."""
    made: list[Manifest] = []
    namespace, secret = bundle.cluster.namespace, bundle.cluster.published
    for pod in (pod for pod in bundle.pods if bundle.cluster.pods[pod].publishes):
        rule = {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret]}
        subject = {"kind": "ServiceAccount", "name": pod, "namespace": namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": pod}
        version = "rbac.authorization.k8s.io/v1"
        made += [
            # Without data, so that an apply leaves alone what was published.
            build("Secret", "v1", secret, namespace, type="Opaque"),
            build("ServiceAccount", "v1", pod, namespace, automountServiceAccountToken=False),
            build("Role", version, pod, namespace, rules=[rule | {"verbs": ["get", "patch"]}]),
            build("RoleBinding", version, pod, namespace, roleRef=role, subjects=[subject]),
        ]
    return made


def _build_kustomization(bundle: Bundle, resources: list[str]) -> Manifest:
    """Return the list of resources, and where the bundle's own images are found."""
    built = {service.image for service in bundle.model.services.values() if service.built}
    images = []
    for image in sorted(built | {bundle.cluster.preparation}):
        title, _, tag = image.rpartition(":")
        registry = bundle.cluster.registry
        new = f"{registry}/{title}" if registry else title
        images.append({"name": title, "newName": new, "newTag": tag})
    return {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "images": images,
        "resources": resources,
    }


def _write(*objects: Manifest) -> bytes:
    text = yaml.dump_all(
        objects, Dumper=_Dumper, sort_keys=False, allow_unicode=True, explicit_start=True, width=100
    )
    return (_HEADER + str(text)).encode()
