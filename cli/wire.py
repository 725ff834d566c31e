"""The composition root: the only place where concrete classes meet. Everything else receives its collaborators."""

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cli.process import Service
from cluster.config import GatewaySection
from cluster.config_load import LoadedConfig, load_config
from cluster.config_values import loopback
from cluster.defaults import default_config
from inventory.clock import SystemClock
from inventory.paths import StatePaths
from inventory.store import ModelStore

if TYPE_CHECKING:
    from cli.supervise import ChildSupervisor
    from inventory.hub import HubOptions
    from inventory.probe import Probe
    from nodes.engine_builds import EngineBuild
    from router.settings import GatewaySettings, LanDoor, TraceSettings


def load_or_default(paths: StatePaths) -> LoadedConfig:
    """The configuration of this state directory: its cluster.yaml, or the embedded one. Raises ConfigError."""
    return load_config(paths.config_file) if paths.config_file.exists() else default_config()


def model_store(paths: StatePaths) -> ModelStore:
    return ModelStore(paths.models, SystemClock())


def hub_options(paths: StatePaths) -> "HubOptions":
    """Access to the hub: with the token in secrets/hub-token, where there is one."""
    from inventory.hub import HubOptions

    token = paths.secrets / "hub-token"
    return HubOptions(token_file=token if token.exists() else None)


def all_probes(models: Path, reserved_bytes: int | None = None) -> "tuple[Probe, ...]":
    """Every source of facts about a machine; each stays silent where its vendor is absent."""
    from inventory.probe_apple import AppleProbe
    from inventory.probe_host import HostProbe
    from inventory.probe_nvidia import NvidiaProbe

    return (HostProbe(models, reserved_bytes), NvidiaProbe(reserved_bytes), AppleProbe(reserved_bytes))


def engine_build(paths: StatePaths, kind: str) -> "EngineBuild":
    """The build of an engine that suits this machine. Raises UnknownEngineKindError, NoBuildError."""
    from inventory.probe import survey
    from nodes.engine_builds import build_for
    from nodes.engine_envs import engine_kind

    return build_for(engine_kind(kind), survey(all_probes(paths.models), own_pids=frozenset()))


def node_service(paths: StatePaths) -> Service:
    """The node daemon with every probe and engine adapter of this build."""
    from cli.prepare import this_node
    from cli.ray import raylet_plan
    from nodes.engines.encoder import EncoderAdapter
    from nodes.engines.llamacpp import LlamaCppAdapter
    from nodes.engines.mlx import MlxAdapter
    from nodes.engines.vllm import VllmAdapter
    from nodes.membership import read_membership
    from nodes.service import NodeSettings, run_node
    from nodes.snapshot import NodeId

    config = load_or_default(paths).config
    membership = read_membership(paths.identity)
    name = membership.node_id if membership is not None else NodeId(this_node(paths, config))
    section = config.nodes.get(name)
    reserve = section.memory.reserve if section else None
    settings = NodeSettings(
        paths=paths,
        node_id=name,
        zone=section.zone if section else "default",
        probes=all_probes(paths.models, reserve),
        store=model_store(paths),
        adapters=(LlamaCppAdapter(), VllmAdapter(), MlxAdapter(), EncoderAdapter()),
        clock=SystemClock(),
        raylet=raylet_plan(paths, name),
    )
    return partial(run_node, settings)


def head_service(paths: StatePaths) -> Service:
    """The head, with the link to its own machine; links to others are made as they join."""
    from cli.prepare import this_node
    from cli.ray import head_ray
    from cluster.local_link import LocalLink
    from cluster.service import HeadSettings, run_head
    from nodes.snapshot import NodeId

    name = NodeId(this_node(paths, load_or_default(paths).config))
    link = LocalLink(name, paths.node_socket)
    return partial(run_head, HeadSettings(paths, ray_head=head_ray(paths, name)), (link,), SystemClock())


def gateway_door(paths: StatePaths, host: str | None, port: int | None) -> tuple[str, int]:
    """Where the gateway listens: an option beats cluster.yaml. Raises typer.BadParameter for a `host` on a network."""
    section = load_or_default(paths).config.gateway
    try:
        chosen = loopback(host) if host else section.host
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--host") from None
    return chosen, section.port if port is None else port


def gateway_service(paths: StatePaths, host: str | None, port: int | None) -> Service:
    from cli.documents import open_room
    from router.service import run_gateway

    config = load_or_default(paths).config
    room = partial(open_room, section=config.rag, names=config.pii.names)
    return partial(run_gateway, gateway_settings(paths, host, port), open_room=room)


def gateway_settings(paths: StatePaths, host: str | None, port: int | None) -> "GatewaySettings":
    """With the timeouts of cluster.yaml."""
    from router.settings import GatewaySettings

    section = load_or_default(paths).config.gateway
    chosen_host, chosen_port = gateway_door(paths, host, port)
    return GatewaySettings(
        paths=paths,
        host=chosen_host,
        port=chosen_port,
        drain_s=section.timeouts.drain,
        connect_s=section.timeouts.connect,
        first_byte_s=section.timeouts.first_token,
        stall_s=section.timeouts.idle,
        total_s=section.timeouts.total,
        wait_s=section.timeouts.wait,
        lan=_lan_door(section),
        traces=_traces(section),
        hosts=(*section.hosts, *(section.lan.names if section.lan else ())),
    )


def _lan_door(section: GatewaySection) -> "LanDoor | None":
    from router.settings import LanDoor

    lan = section.lan
    if lan is None:
        return None
    own = (Path(lan.certificate), Path(lan.key)) if lan.certificate and lan.key else (None, None)
    return LanDoor(lan.listen, lan.port, *own)


def _traces(section: GatewaySection) -> "TraceSettings | None":
    from router.settings import TraceSettings

    traces = section.traces
    if traces is None:
        return None
    return TraceSettings(traces.endpoint, Path(traces.authorities) if traces.authorities else None)


def supervisor_service(paths: StatePaths, host: str | None, port: int | None) -> Service:
    """Node, head and gateway under one supervisor, ended in the order gateway, head, engines, node."""
    from cli.supervise import Child, ChildSupervisor, service_argv
    from nodes.role_lock import ServiceRole

    clock = SystemClock()
    place = ("--state-dir", str(paths.root))
    door = (*(("--host", host) if host else ()), *(("--port", str(port)) if port is not None else ()))

    def child(role: ServiceRole, grace_s: float, *arguments: str) -> Child:
        return Child(role, service_argv(role, *place, *arguments), paths.logs / f"{role}.log", grace_s)

    return supervised(
        paths,
        ChildSupervisor(child("gateway", 35.0, *door), clock),
        ChildSupervisor(child("head", 10.0), clock),
        ChildSupervisor(child("node", 30.0), clock, farewell=partial(stop_engines, paths)),
    )


def supervised(paths: StatePaths, *children: "ChildSupervisor") -> Service:
    """The one supervisor of this state directory."""
    from cli.supervise import supervise
    from nodes.role_lock import RoleLock

    async def run(stop: asyncio.Event) -> None:
        lock = RoleLock(paths.run, "up")
        lock.acquire()
        try:
            await supervise(children, stop)
        finally:
            lock.release()

    return run


async def stop_engines(paths: StatePaths) -> None:
    """Ask the node daemon to end its engines. A daemon that cannot is no reason to stay: `down` reaps by lease."""
    import structlog

    from nodes.client import NodeClient, NodeError

    try:
        await NodeClient(paths.node_socket).shutdown(engines="stop")
    except NodeError as error:
        structlog.get_logger("potluck.supervise").warning("engines_not_stopped", error=str(error))
