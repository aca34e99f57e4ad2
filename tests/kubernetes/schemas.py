"""The strict schemas of Kubernetes, from kubernetes-validate; read once, which it would do for each object."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, Final

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from tests.kubernetes.conversions import Manifest

# The oldest supported version, and the newest known ones.
VERSIONS: Final = ("1.33", "1.36", "1.37")
# Kept by hand after the operator's own definition: what we use, and no other field.
_OPERATORS: Final = {
    "postgresql.cnpg.io/v1": Path(__file__).with_name("cloudnative_pg_cluster.json"),
}


def find_errors(each: Manifest, version: str) -> Iterator[str]:
    """Yield what a version of Kubernetes would not know or take of an object."""
    for error in _build_validator(version, each["kind"], each["apiVersion"]).iter_errors(each):
        yield f"{each['kind']} {each['metadata']['name']}: {error.json_path}: {error.message}"


@functools.cache
def _build_validator(version: str, kind: str, api: str) -> Draft202012Validator:
    if api in _OPERATORS:
        return Draft202012Validator(json.loads(_OPERATORS[api].read_bytes()))
    # rbac.authorization.k8s.io/v1 is rbac-v1.
    group = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api)
    schema = _read(version, f"{kind.lower()}-{group}.json")
    return Draft202012Validator(schema, registry=_build_registry(version))


@functools.cache
def _build_registry(version: str) -> Registry[Any]:
    definitions: Resource[Any] = Resource.from_contents(_read(version, "_definitions.json"))
    registry: Registry[Any] = definitions @ Registry()
    return registry.crawl()


def _read(version: str, name: str) -> Any:
    folders = resources.files("kubernetes_validate") / "kubernetes-json-schema"
    (folder,) = (
        each
        for each in folders.iterdir()
        if each.name.startswith(f"v{version}.") and each.name.endswith("-local-strict")
    )
    return json.loads((folder / name).read_bytes())
