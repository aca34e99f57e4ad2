"""Bundles of the supported shapes as manifests, without an engine."""

from __future__ import annotations

import functools
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from synapse_bundle.kubernetes.conversion import convert
from synapse_bundle.planning import Plan
from tests.bundles import plan_shape, read_compose

ROOT: Final = PurePosixPath("/srv/a bundle")
KUSTOMIZATION: Final = "Kustomization"
Manifest = dict[str, Any]


def model_compose(plan: Plan) -> dict[str, Any]:
    """Return what `docker compose config` makes of a plan, as far as a conversion reads it."""
    model = read_compose(plan)
    for service in model["services"].values():
        build = service.get("build")
        if build is not None:
            build = {"context": build} if isinstance(build, str) else build
            service["build"] = build | {"context": str(ROOT / build["context"])}
        for mount in service["volumes"]:
            if mount["type"] == "bind":
                mount["source"] = str(ROOT / mount["source"])
    return model


def read_plan(plan: Plan) -> dict[str, bytes]:
    """Return a plan's files by path."""
    return {str(file.path): file.content for file in plan.files}


def convert_plan(plan: Plan) -> dict[str, bytes]:
    """Return a plan's manifests by path."""
    return convert(model_compose(plan), read_plan(plan))


@functools.cache
def convert_shape(path: Path) -> dict[str, bytes]:
    """Return the manifests of a settings file, by path."""
    return convert_plan(plan_shape(path))


def parse(manifests: dict[str, bytes]) -> list[Manifest]:
    """Return every object of a conversion; what a list for kustomize is, is none."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = [
        document
        for content in manifests.values()
        for document in yaml.load_all(content, Loader=loader)
    ]
    return [document for document in documents if document["kind"] != KUSTOMIZATION]


def find_templates(objects: list[Manifest]) -> dict[str, Manifest]:
    """Return the pod template of each workload, by its name."""
    return {
        each["metadata"]["name"]: each["spec"]["template"]
        for each in objects
        if "template" in each.get("spec", {})
    }


def list_containers(template: Manifest) -> list[Manifest]:
    """Return every container of a template."""
    spec = template["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]
