"""The cluster that these tests share: the one that KUBECONFIG names, or a node of the lab."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cluster.household import Household
from tests.lab.kubernetes.cluster import start_cluster, stop_cluster
from tests.lab.kubernetes.cluster_paths import find_cluster_paths
from tests.lab.kubernetes.namespaces import find_node, list_leftovers
from tests.support.kubernetes import KUBECONFIG, Cluster
from tests.support.stacks import generate

SETTINGS: Final = """\
server_name: home.test
email: you@home.test
certificates: own-authority
admin: alice
"""


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster with nothing of ours in it; a node that a person started is left running."""
    named = os.environ.get(KUBECONFIG)
    if named:
        yield Cluster(kubeconfig=Path(named))
        return
    paths = find_cluster_paths()
    kept = find_node(paths) is not None
    start_cluster(paths)
    try:
        yield Cluster(kubeconfig=paths.kubeconfig)
    finally:
        if not kept:
            stop_cluster(paths)
            assert list_leftovers(paths) == []


@pytest.fixture(scope="session")
def household(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    """A domain behind the tunnel's double, from empty volumes to ready in its own namespace."""
    stack = generate(tmp_path_factory.mktemp("household"), "household", SETTINGS, tunnel=True)
    home = Household(stack=stack, cluster=cluster.enter(stack.project))
    stack.build()
    home.convert()
    home.load()
    try:
        home.apply()
        home.wait_ready()
        yield home
    finally:
        cluster.kubectl("delete", "namespace", stack.project, "--wait=false")
