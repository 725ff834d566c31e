"""Four machines as the gateway knows them: one that serves, and three that take connections and never say a word."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from bench.relay.gateway_state import MODEL, GatewayState, write_gateway_state
from bench.relay.two_hops import make_identities
from cluster.snapshot import ClusterSnapshot, ModelView, NodeAddress, NodeView
from inventory.catalog import ModelName, ModelRef
from inventory.secret_files import write_secret
from nodes.snapshot import EngineEndpoint, EngineId, EngineSnapshot, NodeId

HANGING = 3
MODELS_EACH = 16  # of a machine that hangs


@asynccontextmanager
async def hanging_ports(count: int) -> AsyncIterator[tuple[int, ...]]:
    """Each accepts whoever comes, reads nothing and answers nothing."""
    held: list[asyncio.StreamWriter] = []

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)

    servers = [await asyncio.start_server(hold, "127.0.0.1", 0, limit=1) for _ in range(count)]
    try:
        yield tuple(int(server.sockets[0].getsockname()[1]) for server in servers)
    finally:
        for server in servers:
            server.close()
        for writer in held:
            writer.close()


def write_fleet(root: Path, engine_ports: Sequence[int], hanging: Sequence[int]) -> GatewayState:
    """The last of those that hang is an engine of this machine, the others are TLS ports of other machines."""
    state = write_gateway_state(root, engine_ports)
    make_identities(state.paths, "bench")
    known = state.paths.gateway / "cluster.json"
    snapshot = msgspec.json.decode(known.read_bytes(), type=ClusterSnapshot)
    nodes, models = list(snapshot.nodes), list(snapshot.models)
    for number, port in enumerate(hanging):
        elsewhere = number + 1 < len(hanging)
        node, views = _hanging(snapshot, number, port, elsewhere)
        nodes.append(node)
        models += views
    write_secret(known, msgspec.json.encode(replace(snapshot, nodes=tuple(nodes), models=tuple(models))).decode())
    return state


def hung_models() -> list[str]:
    """One of each machine that hangs."""
    return [_name(number, 0) for number in range(HANGING)]


def _name(node: int, model: int) -> str:
    return f"hung-{node}-{model}"


def _hanging(snapshot: ClusterSnapshot, number: int, port: int, elsewhere: bool) -> tuple[NodeView, list[ModelView]]:
    serving = snapshot.nodes[0]
    assert serving.snapshot is not None
    pattern = serving.snapshot.engines[0]
    node_id, names = NodeId(f"hung-{number}"), [_name(number, model) for model in range(MODELS_EACH)]
    engines = tuple(_engine(pattern, name, port) for name in names)
    report = replace(serving.snapshot, node_id=node_id, engines=engines)
    address = NodeAddress("127.0.0.1", port) if elsewhere else None
    node = replace(serving, node_id=node_id, link="https" if elsewhere else "local", snapshot=report, address=address)
    views = [replace(snapshot.models[0], name=ModelName(name), ref=_ref(name)) for name in names]
    return node, views


def _ref(name: str) -> ModelRef:
    return replace(MODEL, name=ModelName(name))


def _engine(pattern: EngineSnapshot, name: str, port: int) -> EngineSnapshot:
    secret = pattern.endpoint.secret_file if pattern.endpoint is not None else None
    endpoint = EngineEndpoint("127.0.0.1", port, secret)
    return replace(pattern, engine_id=EngineId(f"{name}.1"), model=_ref(name), endpoint=endpoint)
