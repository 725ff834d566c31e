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


def free_tokens(engine: EngineSnapshot) -> int | None:
    """How many of those are free at this moment: by the engine's own count, or those of the slots that nobody has."""
    load, tokens, users = engine.load, capacity_tokens(engine), _free_users(engine)
    if tokens is not None and load.kv_used is not None:
        return int(tokens * (1 - min(1.0, load.kv_used)))
    return None if users is None or engine.cache_tokens else users * engine.context_tokens  # a slot's cache is its own


def _free_users(engine: EngineSnapshot) -> int | None:
    load = engine.load
    return None if load.slots is None or load.running is None else max(0, load.slots - load.running)


def _room(node: NodeId, engine: EngineSnapshot) -> EngineRoom:
    return EngineRoom(
        engine_id=engine.engine_id,
        node=node,
        model=engine.model.name,
        context_tokens=engine.context_tokens,
        users=engine.load.slots,
        users_free=_free_users(engine),
        tokens=capacity_tokens(engine),
        tokens_free=free_tokens(engine),
    )
