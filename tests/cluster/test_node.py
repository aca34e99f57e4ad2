"""The node itself: what the bundle's pods rely on, with a pod that is not the bundle's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.lab.images import BASE
from tests.lab.kubernetes.cluster import load_images
from tests.lab.kubernetes.cluster_paths import find_cluster_paths
from tests.support.kubernetes import Cluster
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.kubernetes, pytest.mark.engine]

USER: Final = 993
NAME: Final = "greeter"
SERVICE: Final = "greetings"
SERVER: Final = """\
use IO::Socket::INET;
my $server = IO::Socket::INET->new(LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die $!;
while (my $client = $server->accept) { print $client "hello\\n"; close $client }
"""
RESTRICTED: Final = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
    "runAsNonRoot": True,
    "runAsUser": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def describe_pod() -> dict[str, Any]:
    """Return a pod that answers each connection, restricted as the bundle's are."""
    container = {
        "name": NAME,
        "image": BASE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["perl", "-e", SERVER],
        "securityContext": RESTRICTED,
        "readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": NAME, "labels": {"app": NAME}},
        "spec": {
            "containers": [container],
            "securityContext": {"fsGroup": USER},
            "terminationGracePeriodSeconds": 0,
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        },
    }


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[Cluster]:
    """A namespace with that pod, its Service and its claim, ready."""
    if cluster.is_lab:
        load_images(find_cluster_paths(), [BASE])
    inside = cluster.enter(f"test-node-{os.getpid()}")
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}
    service = {"selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": 8080}]}
    meta = {"apiVersion": "v1", "metadata": {"name": "data"}}
    cluster.kubectl("create", "namespace", inside.namespace)
    try:
        inside.apply(
            {**meta, "kind": "PersistentVolumeClaim", "spec": claim},
            describe_pod(),
            {"apiVersion": "v1", "kind": "Service", "metadata": {"name": SERVICE}, "spec": service},
        )
        inside.wait("condition=Ready", f"pod/{NAME}")
        yield inside
    finally:
        cluster.kubectl("delete", "namespace", inside.namespace, "--wait=false")


def test_service_answers_by_name(namespace: Cluster) -> None:
    """A pod reaches a Service by its name; a name that is none of the cluster's leads nowhere."""
    ask = "exec 3<>/dev/tcp/{}/80 && cat <&3"
    asked = ["exec", NAME, "--", "bash", "-c"]

    def answers() -> bool:
        return namespace.try_kubectl(*asked, ask.format(SERVICE)).stdout == "hello\n"

    # A node learns by and by of a pod that is ready.
    wait_for(answers, "the Service answers")
    full = f"{SERVICE}.{namespace.namespace}.svc.cluster.local"
    assert namespace.kubectl(*asked, ask.format(full)) == "hello\n"
    assert namespace.try_kubectl(*asked, ask.format("nobody")).returncode != 0


def test_claim_is_a_volume_of_the_group(namespace: Cluster) -> None:
    """A claim becomes a volume that the pod's group may write."""
    command = ["exec", NAME, "--", "bash", "-c", "echo kept > /data/file; stat -c %g /data"]
    assert namespace.kubectl(*command).strip() == str(USER)
    assert namespace.get("persistentvolumeclaim/data")["status"]["phase"] == "Bound"
