"""A Ray of two nodes on this machine, with a processor each."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def ray_nodes(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Start it, and yield its address."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # or it starves beside other tests
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 1, "object_store_memory": 10**8}
    nodes = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **options})
    try:
        nodes.add_node(**options)
        yield nodes.address
    finally:
        nodes.shutdown()
