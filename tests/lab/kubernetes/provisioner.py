"""The node's storage class: a directory for each claim, bound as a local volume.

A local volume honors fsGroup, as disks of a cloud do; a hostPath does not.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

from tests.lab.kubernetes.cluster_paths import NAME

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lab.kubernetes.api_client import ApiClient

CLASS: Final = "lab"
_CLAIMS: Final = "/api/v1/persistentvolumeclaims"
_VOLUMES: Final = "/api/v1/persistentvolumes"
# The scheduler's mark on a claim whose first pod has a node.
_CHOSEN: Final = "volume.kubernetes.io/selected-node"
_STORAGE_CLASS: Final = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {
        "name": CLASS,
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    },
    "provisioner": f"{NAME}.test/directory",
    "reclaimPolicy": "Retain",
    # As the classes of clouds have it: a claim gets a volume once its first pod has a node.
    "volumeBindingMode": "WaitForFirstConsumer",
}


def name_volume(claim: Any) -> str:
    """Return the name of a claim's volume."""
    return f"pvc-{claim['metadata']['uid']}"


def describe_volume(claim: Any, folder: Path) -> dict[str, Any]:
    """Return the volume that fits a claim."""
    metadata = claim["metadata"]
    on_this_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NAME]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name_volume(claim)},
        "spec": {
            "accessModes": claim["spec"]["accessModes"],
            "capacity": {"storage": claim["spec"]["resources"]["requests"]["storage"]},
            "claimRef": {key: metadata[key] for key in ("name", "namespace", "uid")},
            "local": {"path": str(folder)},
            "nodeAffinity": {
                "required": {"nodeSelectorTerms": [{"matchExpressions": [on_this_node]}]}
            },
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
        },
    }


def follow(api: ApiClient, root: Path, kind: str, claim: Any) -> None:
    """Make a volume for a claim that a pod waits for; remove that of a deleted one with all it holds."""
    folder, spec = root / name_volume(claim), claim["spec"]
    if kind == "DELETED":
        api.settle("DELETE", f"{_VOLUMES}/{folder.name}")
        shutil.rmtree(folder, ignore_errors=True)
    elif (
        _CHOSEN in claim["metadata"].get("annotations", {})
        and spec.get("storageClassName") == CLASS
        and not spec.get("volumeName")
    ):
        folder.mkdir(parents=True, exist_ok=True)
        api.settle("POST", _VOLUMES, describe_volume(claim, folder))


def provide_volumes(api: ApiClient, root: Path) -> None:
    """Serve claims for ever."""
    api.settle("POST", "/apis/storage.k8s.io/v1/storageclasses", _STORAGE_CLASS)
    while True:
        for kind, claim in api.watch(_CLAIMS):
            follow(api, root, kind, claim)
