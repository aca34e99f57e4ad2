"""Kubernetes objects that hold data or places: ConfigMaps, Secrets, claims, and what all have in common."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

Manifest = dict[str, Any]
# Of what a client stores beside an object that it applies; Kubernetes allows 262144 bytes.
_LARGEST: Final = 180_000
_LABEL: Final = "app.kubernetes.io/name"


def build(kind: str, version: str, name: str, namespace: str, **body: Any) -> Manifest:
    """Return an object."""
    metadata: Manifest = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


def label_pod(pod: str) -> dict[str, str]:
    """Return the label by which the pods of a workload are found."""
    return {_LABEL: pod}


def name(text: str) -> str:
    """Return a text as the name of a volume or object (RFC 1123)."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def build_config_map(title: str, namespace: str, contents: Mapping[str, bytes]) -> Manifest:
    """Return a ConfigMap; what is not UTF-8 goes into its binary half."""
    texts, binaries = {}, {}
    for key, content in sorted(contents.items()):
        try:
            texts[key] = content.decode()
        except UnicodeDecodeError:
            binaries[key] = base64.b64encode(content).decode()
    body = {"data": texts} | ({"binaryData": binaries} if binaries else {})
    return build("ConfigMap", "v1", title, namespace, **body)


def build_secret(
    title: str, namespace: str, contents: Mapping[str, bytes], kind: str = "Opaque"
) -> Manifest:
    """Return a Secret with `data`: with `stringData` each apply would change it."""
    data = {key: base64.b64encode(value).decode() for key, value in sorted(contents.items())}
    return build("Secret", "v1", title, namespace, type=kind, data=data)


def build_claim(title: str, namespace: str, size: str) -> Manifest:
    """Return a claim that the pods of one node may mount."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return build("PersistentVolumeClaim", "v1", title, namespace, spec=spec)


def divide(contents: Mapping[str, bytes]) -> Iterable[dict[str, bytes]]:
    """Yield contents in parts that each fit into one object, in order."""
    part: dict[str, bytes] = {}
    for key, content in sorted(contents.items()):
        if part and sum(map(len, part.values())) + len(content) > _LARGEST:
            yield part
            part = {}
        part[key] = content
    if part:
        yield part
