"""`potluck ray-bridge`, and the wiring of Ray for a head and for a node."""

import asyncio
import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import StateDir, paths_of

if TYPE_CHECKING:
    from cli.process import Service
    from cluster.ray_settings import RayNode, RayPorts
    from inventory.paths import StatePaths
    from nodes.identity import IdentityFiles

BRIDGE_GRACE_S = 5.0


def ray_bridge(
    host: Annotated[str, typer.Option(help="Address of Ray's head: this machine's, as other machines reach it.")],
    port: Annotated[int, typer.Option(help="First of Ray's ports.")] = 8410,
    state_dir: StateDir = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Run the one driver of Ray. Nothing starts it by itself yet."""
    from cli.process import run_service
    from cluster.ray_settings import RayPorts

    paths = paths_of(state_dir).ensure()
    run_service(
        "ray-bridge", paths.root, bridge_service(paths, host, RayPorts(port)), "stop" if supervised else "ignore"
    )


def bridge_service(paths: "StatePaths", host: str, ports: "RayPorts") -> "Service":
    from cluster.ray_bridge import run_bridge
    from cluster.ray_settings import driver_environment
    from cluster.ray_setup import bridge_socket, place_of, required_program
    from nodes.role_lock import RoleLock

    async def run(stop: asyncio.Event) -> None:
        place = place_of(paths, required_program(), ports, controller_identity(paths))
        lock = RoleLock(paths.run, "ray-bridge")
        lock.acquire()
        # Before Ray is imported: its core reads the environment once.
        os.environ.update(driver_environment(place))
        from cluster.ray_fabric import RayFabric

        try:
            await run_bridge(partial(RayFabric.connect, host, ports.gcs), bridge_socket(paths), stop)
        finally:
            lock.release()

    return run


def head_ray_service(paths: "StatePaths", node: "RayNode", ports: "RayPorts") -> "Service":
    """Ray's head and the bridge, kept running until stopped. Needs the controller's certificate."""
    from cli.supervise import Child, ChildSupervisor, service_argv, supervise
    from cluster.ray_setup import ensure_token, head_run, place_of, required_program
    from inventory.clock import SystemClock
    from nodes.ray_process import RayProcess

    async def run(stop: asyncio.Event) -> None:
        ensure_token(paths)
        place = place_of(paths, required_program(), ports, controller_identity(paths))
        door = ("--state-dir", str(paths.root), "--host", node.address, "--port", str(ports.base))
        bridge = Child("ray-bridge", service_argv("ray-bridge", *door), paths.logs / "ray-bridge.log", BRIDGE_GRACE_S)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(RayProcess(head_run(paths, place, node), SystemClock()).run(stop))
            tasks.create_task(supervise((ChildSupervisor(bridge, SystemClock()),), stop))

    return run


def node_ray_service(paths: "StatePaths", node: "RayNode", head_host: str, ports: "RayPorts") -> "Service":
    """This machine's raylet, kept running until stopped. Needs the node's certificate and the cluster's token."""
    from cluster.ray_setup import place_of, raylet_run, required_program
    from inventory.clock import SystemClock
    from nodes.identity import IdentityFiles
    from nodes.ray_process import RayProcess

    async def run(stop: asyncio.Event) -> None:
        identity = IdentityFiles.at(paths.identity, "node")
        place = place_of(paths, required_program(), ports, identity)
        await RayProcess(raylet_run(paths, place, node, head_host), SystemClock()).run(stop)

    return run


def controller_identity(paths: "StatePaths") -> "IdentityFiles":
    from nodes.identity import IdentityFiles

    return IdentityFiles.at(paths.identity, "controller")
