"""What an engine that runs is predicted to need: the bridge from what a machine reports of it to fit. Pure."""

from collections.abc import Iterable

from cluster.fit import Need, Workload, need_of
from cluster.fit_engines import EngineMemory
from cluster.fit_ledger import memory_for
from cluster.fit_pools import accelerated
from inventory.catalog import ModelShape
from nodes.snapshot import EngineSnapshot, NodeSnapshot


def workload_of(engine: EngineSnapshot, shape: ModelShape, snapshot: NodeSnapshot) -> Workload:
    """As the engine was started."""
    slots, gpu = engine.load.slots or 1, accelerated(snapshot, engine.kind)
    return Workload(engine.kind, shape, engine.context_tokens, slots, 16, gpu, engine.cache_tokens)


def running_need(engine: EngineSnapshot, snapshot: NodeSnapshot, memories: Iterable[EngineMemory]) -> Need | None:
    """With the machine's own figures of the build; None where nothing is known of the model's shape."""
    artifact_id = engine.model.artifact_id
    held = next((one for one in snapshot.models if one.ref.artifact_id == artifact_id), None)
    if held is None or held.shape is None:
        return None
    memory = memory_for(engine.kind, accelerated(snapshot, engine.kind), memories)
    return need_of(workload_of(engine, held.shape, snapshot), memory)
