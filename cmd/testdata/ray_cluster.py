"""A Ray cluster of several nodes on this machine, for tests.

Prints its addresses as JSON, then obeys lines on standard input: ``kill ID`` takes the
node away whose id begins so, or any, ``add`` brings one. Ends with its input.
"""

import json
import socket
import sys

from ray.cluster_utils import Cluster

SMALL = {"object_store_memory": 80_000_000, "include_dashboard": False}


def begin(attempts: int = 3) -> tuple[Cluster, int]:
    """Start the head, again if a busy machine takes longer than Ray waits."""
    for left in reversed(range(attempts)):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        head = {"num_cpus": 0, "ray_client_server_port": port, **SMALL}
        try:
            return Cluster(initialize_head=True, head_node_args=head), port
        except Exception:
            if not left:
                raise
    raise AssertionError


def main(nodes: int) -> None:
    cluster, port = begin()
    workers = [cluster.add_node(num_cpus=1, **SMALL) for _ in range(nodes)]
    print(
        json.dumps({"address": cluster.address, "client": f"ray://127.0.0.1:{port}"}),
        flush=True,
    )
    for line in sys.stdin:
        match line.split():
            case ["add"]:
                workers.append(cluster.add_node(num_cpus=1, **SMALL))
            case ["kill", *prefix]:
                wanted = "".join(prefix)
                node = next(w for w in workers if w.node_id.startswith(wanted))
                workers.remove(node)
                cluster.remove_node(node, allow_graceful=False)
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
