"""The cluster that these tests share, and the bundle that lives in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.household import SETTINGS, Household
from tests.cluster.shared_cluster import run_cluster
from tests.support.kubernetes import Cluster
from tests.support.stacks import generate


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster with nothing of these tests in it."""
    with run_cluster() as found:
        yield found


@pytest.fixture(scope="module")
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
