"""A program for one host of a test: Ray's head with its bridge, or a raylet, as `potluck head` and `potluck node` run
them. Arguments: head|node NAME ADDRESS [HEAD_ADDRESS]; the state directory is POTLUCK_STATE_DIR.
"""

import sys

from cli.process import run_service
from cli.ray import head_ray_service, node_ray_service
from cluster.ray_settings import RayNode, RayPorts
from inventory.paths import StatePaths
from nodes.snapshot import NodeId


def main(role: str, name: str, address: str, *head: str) -> None:
    paths = StatePaths.at().ensure()
    node = RayNode(NodeId(name), address, ("llamacpp",), str(paths.root))
    if role == "head":
        service = head_ray_service(paths, node, RayPorts())
    else:
        service = node_ray_service(paths, node, head[0], RayPorts())
    run_service(role, paths.root, service, "ignore")


if __name__ == "__main__":
    main(*sys.argv[1:])
