"""`potluck ray`, `potluck ray-bridge`, and the wiring of Ray for a head and for a node."""

import os
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from cli.options import StateDir, paths_of

if TYPE_CHECKING:
    import asyncio

    from cli.process import Service
    from cluster.member_links import RayOffer
    from cluster.ray_settings import RayNode, RayPorts
    from cluster.service import RayHead
    from inventory.paths import StatePaths
    from nodes.api_wire import RayOrder
    from nodes.identity import IdentityFiles
    from nodes.ray_member import RayletPlan
    from nodes.ray_process import RayRun
    from nodes.snapshot import NodeId

BRIDGE_GRACE_S = 5.0


class NoRayHereError(Exception):
    """This machine takes part in no Ray. The command prints this and exits 1."""


def ray(context: typer.Context, state_dir: StateDir = None) -> None:
    """Run Ray's own command with this cluster's token and certificates: potluck ray status -v."""
    from cluster.ray_settings import driver_environment
    from cluster.ray_setup import place_of, required_program

    paths = paths_of(state_dir)
    host, ports, identity = _seen_from_here(paths)
    program = required_program()
    environment = {**os.environ, **dict(driver_environment(place_of(paths, program, ports, identity)))}
    environment["RAY_ADDRESS"] = f"{host}:{ports.gcs}"
    os.execve(program, [str(program), *context.args], environment)


def _seen_from_here(paths: "StatePaths") -> "tuple[str, RayPorts, IdentityFiles]":
    """Where Ray's head is, and who this machine is to it."""
    from cli.wire import load_or_default
    from cluster.member_links import ray_offer
    from cluster.ray_settings import RayPorts
    from nodes.identity import IdentityFiles
    from nodes.ray_member import read_order

    order = read_order(paths)
    if order is not None:
        return order.head_host, RayPorts(order.port), IdentityFiles.at(paths.identity, "node")
    offer = ray_offer(load_or_default(paths).config)
    if isinstance(offer, str):
        raise NoRayHereError(f"this machine takes part in no Ray: {offer}")
    return offer.host, offer.ports, controller_identity(paths)


def ray_bridge(
    host: Annotated[str, typer.Option(help="Address of Ray's head: this machine's, as other machines reach it.")],
    port: Annotated[int, typer.Option(help="First of Ray's ports.")] = 8410,
    state_dir: StateDir = None,
    supervised: Annotated[bool, typer.Option("--supervised", hidden=True)] = False,
) -> None:
    """Run the one driver of Ray. `potluck head` starts it where machines may join."""
    from cli.process import run_service
    from cli.sealing import seal_if_wanted
    from cluster.ray_settings import RayPorts

    paths = paths_of(state_dir).ensure()
    seal_if_wanted(paths, False)
    run_service(
        "ray-bridge", paths.root, bridge_service(paths, host, RayPorts(port)), "stop" if supervised else "ignore"
    )


def bridge_service(paths: "StatePaths", host: str, ports: "RayPorts") -> "Service":
    from cluster.ray_bridge import run_bridge
    from cluster.ray_settings import driver_environment
    from cluster.ray_setup import bridge_socket, place_of, required_program
    from nodes.role_lock import RoleLock

    async def run(stop: "asyncio.Event") -> None:
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


def head_ray(paths: "StatePaths", name: "NodeId") -> "RayHead":
    """Ray's head, the bridge, and the raylet of the head's own machine. Needs the controller's certificate."""
    import asyncio

    from cli.supervise import Child, ChildSupervisor, service_argv, supervise
    from cluster.ray_setup import ensure_token, head_run, place_of, required_program
    from inventory.clock import SystemClock
    from nodes.ray_process import RayProcess

    async def run(offer: "RayOffer", stop: "asyncio.Event") -> None:
        def plan() -> "RayRun":
            place = place_of(paths, required_program(), offer.ports, controller_identity(paths))
            return head_run(paths, place, _as_ray_sees(paths, name, offer.host))

        ensure_token(paths)
        door = ("--state-dir", str(paths.root), "--host", offer.host, "--port", str(offer.ports.base))
        bridge = Child("ray-bridge", service_argv("ray-bridge", *door), paths.logs / "ray-bridge.log", BRIDGE_GRACE_S)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(RayProcess(plan, SystemClock()).run(stop))
            tasks.create_task(supervise((ChildSupervisor(bridge, SystemClock()),), stop))

    return run


def raylet_plan(paths: "StatePaths", name: "NodeId") -> "RayletPlan":
    """The raylet of a machine that has joined. Needs the node's certificate."""
    from cluster.ray_settings import RayPorts
    from cluster.ray_setup import place_of, raylet_run, required_program
    from nodes.identity import IdentityFiles

    def plan(order: "RayOrder") -> "RayRun":
        identity = IdentityFiles.at(paths.identity, "node")
        place = place_of(paths, required_program(), RayPorts(order.port), identity)
        return raylet_run(paths, place, _as_ray_sees(paths, name, order.address), order.head_host)

    return plan


def _as_ray_sees(paths: "StatePaths", name: "NodeId", address: str) -> "RayNode":
    from cluster.ray_settings import RayNode
    from nodes.engine_envs import installed

    return RayNode(name, address, tuple(found.kind for found in installed(paths.engines)), str(paths.root))


def controller_identity(paths: "StatePaths") -> "IdentityFiles":
    from nodes.identity import IdentityFiles

    return IdentityFiles.at(paths.identity, "controller")
