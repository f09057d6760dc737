"""A Ray cluster of several machines, each of them a few processes of this one."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MEMORY = 100 << 20  # bytes of each machine for objects; the actors return a few numbers


@contextmanager
def ray_machines(count: int) -> Iterator[Any]:
    """Start a head without cores and machines with one core each.

    Args:
        count: How many machines.

    Yields:
        `ray.cluster_utils.Cluster` with `machines`.
    """
    os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True, head_node_args={'num_cpus': 0, 'object_store_memory': MEMORY, 'include_dashboard': False}
    )
    try:
        cluster.machines = [cluster.add_node(num_cpus=1, object_store_memory=MEMORY) for _ in range(count)]
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()
        sys.stdout.flush()
