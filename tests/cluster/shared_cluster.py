"""The cluster in use: the one that KUBECONFIG names, or a node of the lab."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.kubernetes.cluster import start_cluster, stop_cluster
from tests.lab.kubernetes.cluster_paths import find_cluster_paths
from tests.lab.kubernetes.namespaces import find_node, list_leftovers, list_traces
from tests.support.kubernetes import KUBECONFIG, Cluster


@contextmanager
def run_cluster() -> Iterator[Cluster]:
    """Have a cluster; a node of the lab that this starts ends with the block and leaves nothing.

    A node that a person started goes on.
    """
    named = os.environ.get(KUBECONFIG)
    if named:
        yield Cluster(kubeconfig=Path(named))
        return
    paths = find_cluster_paths()
    kept = find_node(paths) is not None
    before = list_traces()
    start_cluster(paths)
    try:
        yield Cluster(kubeconfig=paths.kubeconfig)
    finally:
        if not kept:
            stop_cluster(paths)
            assert list_leftovers(paths) == []
            assert list_traces() == before
