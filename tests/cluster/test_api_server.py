"""What a real API server says of the manifests, and of faults that are seeded into them."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.kubernetes.conversions import convert_shape, find_templates, parse
from tests.kubernetes.faults import FAULTS, SeededFault, Step
from tests.settings import SHAPES
from tests.support.kubernetes import Cluster

pytestmark = [pytest.mark.kubernetes, pytest.mark.engine]

Manifest = dict[str, Any]
SHAPE: Final = next(path for path in SHAPES if path.stem == "full")


@pytest.fixture(scope="module")
def objects() -> list[Manifest]:
    """The manifests of the largest bundle."""
    return parse(convert_shape(SHAPE))


@pytest.fixture(scope="module")
def namespace(cluster: Cluster, objects: list[Manifest]) -> Iterator[Cluster]:
    """Their namespace with its accounts, which pods need and a dry run does not make."""
    accounts = [each for each in objects if each["kind"] == "ServiceAccount"]
    (name,) = (each["metadata"]["name"] for each in objects if each["kind"] == "Namespace")
    cluster.kubectl("create", "namespace", name)
    try:
        inside = cluster.enter(name)
        inside.apply(*accounts)
        yield inside
    finally:
        cluster.kubectl("delete", "namespace", name)


def judge(namespace: Cluster, objects: list[Manifest]) -> str:
    """Return what the server has against objects, or nothing."""
    listing = {"apiVersion": "v1", "kind": "List", "items": objects}
    done = namespace.try_kubectl(
        "create", "--dry-run=server", "--validate=false", "--filename=-", text=json.dumps(listing)
    )
    refused = [line for line in done.stderr.splitlines() if "AlreadyExists" not in line]
    return "\n".join(refused) if done.returncode else ""


def make_pods(objects: list[Manifest]) -> list[Manifest]:
    """Return each pod template as a Pod of its own: an old server looks into no template."""
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "labels": template["metadata"].get("labels", {})},
            "spec": template["spec"],
        }
        for name, template in find_templates(objects).items()
    ]


def age(objects: list[Manifest]) -> list[Manifest]:
    """Return objects with policy/v1 as servers before 1.21 have it, with the same fields."""
    return [
        each | {"apiVersion": "policy/v1beta1"} if each["apiVersion"] == "policy/v1" else each
        for each in objects
    ]


def name(fault: SeededFault) -> str:
    return fault.name


def seed(fault: SeededFault, objects: list[Manifest]) -> list[Manifest]:
    """Return the objects that a fault has changed."""
    changed = copy.deepcopy(objects)
    fault.seed(changed)
    return [after for before, after in zip(objects, changed, strict=True) if before != after]


def select(*steps: Step) -> list[SeededFault]:
    return [fault for fault in FAULTS if fault.step in steps]


def test_server_takes_every_object(namespace: Cluster, objects: list[Manifest]) -> None:
    """The objects are what this server knows, and so is each pod on its own."""
    assert judge(namespace, age(objects)) == ""
    assert judge(namespace, make_pods(objects)) == ""


def test_server_takes_the_folder(namespace: Cluster, tmp_path: Path) -> None:
    """`kubectl apply -k` takes the folder as it was written, but for what is younger than 1.20."""
    for path, content in convert_shape(SHAPE).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    done = namespace.try_kubectl("apply", "--dry-run=server", f"--kustomize={tmp_path}")
    refused = [line for line in done.stderr.splitlines() if "Warning" not in line]
    assert all("PodDisruptionBudget" in line or "CRDs" in line for line in refused), done.stderr
    assert done.stdout.count("(server dry run)") > 20


@pytest.mark.parametrize("fault", select(Step.SERVER), ids=name)
def test_server_refuses(namespace: Cluster, objects: list[Manifest], fault: SeededFault) -> None:
    """A fault that schemas do not see is found by the server, in the object itself."""
    said = judge(namespace, seed(fault, objects))
    assert "is invalid: " in said or "cannot be handled as" in said


@pytest.mark.parametrize("fault", select(Step.POD), ids=name)
def test_server_refuses_the_pod(
    namespace: Cluster, objects: list[Manifest], fault: SeededFault
) -> None:
    """A fault in a template that this server takes is found in a pod of its own."""
    seeded = seed(fault, objects)
    assert judge(namespace, seeded) == ""
    assert "is invalid: " in judge(namespace, make_pods(seeded))


@pytest.mark.parametrize("fault", select(Step.LAWS), ids=name)
def test_server_takes(namespace: Cluster, objects: list[Manifest], fault: SeededFault) -> None:
    """What only our laws find is nothing to the server; else the table should say so."""
    seeded = seed(fault, objects)
    assert seeded
    assert judge(namespace, seeded) == ""
    assert judge(namespace, make_pods(seeded)) == ""
