"""What a gateway is told of a cluster of many machines, whose figures move with each turn."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from cluster.snapshot import ClusterSnapshot, ModelState, ModelView, NodeView
from inventory.catalog import ModelName
from inventory.hardware import GIB, Hardware, Host, MemoryPool, PoolId
from nodes.snapshot import EngineLoad, EngineSnapshot, EngineState, NodeId, NodeSnapshot
from support.gateway import WRITES, cluster_of, engine_at, model_ref

SLOTS = 8


def machine(number: int) -> str:
    return f"machine-{number:02}"


def model(number: int) -> str:
    return f"model-{number:02}"


def many_machines(
    sequence: int,
    machines: int = 20,
    models: int = 10,
    lost: Collection[str] = (),
    states: Mapping[str, EngineState] | None = None,
    asleep: str = "",
) -> ClusterSnapshot:
    """Every model has an engine on every machine: `MODEL@MACHINE`, ready unless `states` says otherwise. Requests for
    the model that is `asleep` wait."""
    names = [model(number) for number in range(models)]
    nodes = tuple(_machine(machine(number), names, sequence, lost, states or {}) for number in range(machines))
    return replace(
        cluster_of([], sequence=sequence),
        nodes=nodes,
        models=tuple(_model(name, "asleep" if name == asleep else "ready") for name in names),
        taken_at_s=100.0 + sequence,
    )


def _model(name: str, state: ModelState) -> ModelView:
    waits = ModelView(ModelName(name), model_ref(name), state, "", 7, 8192, WRITES)
    return replace(waits, keep_alive_s=600.0) if state == "asleep" else waits


def _machine(
    name: str, models: list[str], turn: int, lost: Collection[str], states: Mapping[str, EngineState]
) -> NodeView:
    engines = tuple(_engine(f"{one}@{name}", one, turn, states) for one in models)
    used = (4 + turn % 7) * GIB
    hardware = Hardware(
        Host("linux", "", "x86_64", None, 16, 32, None),
        (MemoryPool(PoolId("ram"), "ram", 128 * GIB, used, 6 * GIB),),
        (),
        None,
        1.0,
    )
    snapshot = NodeSnapshot(NodeId(name), "default", 100.0 + turn, hardware, (), engines, ())
    if name in lost:
        return NodeView(NodeId(name), "lost", "silent for 10 s", 100.0 + turn, "https", snapshot)
    return NodeView(NodeId(name), "ready", "", 1.0, "https", snapshot)


def _engine(engine_id: str, name: str, turn: int, states: Mapping[str, EngineState]) -> EngineSnapshot:
    engine = engine_at(None, engine_id, name, states.get(engine_id, "ready"), context_tokens=8192, slots=SLOTS)
    moved = (turn * 7 + sum(engine_id.encode())) % (SLOTS + 1)
    load = EngineLoad(running=moved, waiting=turn % 3, slots=SLOTS, kv_used=moved / SLOTS)
    return replace(engine, load=load, memory_bytes=(900 + moved) << 20)
