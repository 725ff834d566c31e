"""What engines that run can still take: users at the context they were started with, tokens of their caches. Pure."""

from dataclasses import dataclass

from cluster.snapshot import ClusterSnapshot
from inventory.catalog import ModelName
from nodes.snapshot import EngineId, EngineSnapshot, NodeId

SERVING = ("ready", "starting")


@dataclass(frozen=True, slots=True)
class EngineRoom:
    """None where the engine exports no such figure. Tokens are of prompts and answers together."""

    engine_id: EngineId
    node: NodeId
    model: ModelName
    context_tokens: int
    users: int | None  # at once, each with that context
    users_free: int | None
    tokens: int | None
    tokens_free: int | None


def engine_rooms(snapshot: ClusterSnapshot) -> tuple[EngineRoom, ...]:
    """Of engines that serve, or will; by model and machine. Machines that take nothing new are not counted."""
    found = [
        _room(node.node_id, engine)
        for node in snapshot.nodes
        if node.state == "ready" and node.snapshot is not None
        for engine in node.snapshot.engines
        if engine.state in SERVING
    ]
    return tuple(sorted(found, key=lambda room: (room.model, room.node, room.engine_id)))


def capacity_tokens(engine: EngineSnapshot) -> int | None:
    """Of prompts and answers, that its cache holds at once."""
    if engine.cache_tokens:
        return engine.cache_tokens
    return None if engine.load.slots is None else engine.context_tokens * engine.load.slots


def _room(node: NodeId, engine: EngineSnapshot) -> EngineRoom:
    load, tokens = engine.load, capacity_tokens(engine)
    users_free = max(0, load.slots - load.running) if load.slots is not None and load.running is not None else None
    tokens_free = None
    if tokens is not None and load.kv_used is not None:
        tokens_free = int(tokens * (1 - min(1.0, load.kv_used)))
    elif users_free is not None and not engine.cache_tokens:  # a slot's cache is its own
        tokens_free = users_free * engine.context_tokens
    return EngineRoom(
        engine.engine_id, node, engine.model.name, engine.context_tokens, load.slots, users_free, tokens, tokens_free
    )
