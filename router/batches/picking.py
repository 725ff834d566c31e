"""Where a line of a batch may run now, and why nowhere: engines and what they have to do in, free places out."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nodes.snapshot import EngineId, NodeId

QUIET_S = 1.0  # that a machine has been idle: whoever asks twice in a row need not find a guest each time


class Bench(NamedTuple):
    """An engine that serves a model, at this moment."""

    engine_id: EngineId
    node_id: NodeId
    slots: int
    able: bool  # it is sound, and its machine is not short of memory


class Scene(NamedTuple):
    """What is known of all machines."""

    asked: Mapping[NodeId, int]  # requests that somebody waits for, on any engine of a machine
    quiet_s: Mapping[NodeId, float]  # since its machine last had any; of those that were measured
    guests: Mapping[EngineId, int]
    waiting: int  # requests that wait for an engine, whichever


def free_places(benches: Iterable[Bench], scene: Scene) -> tuple[dict[NodeId, int], str]:
    """Lines that each machine can take more. Where none can take one, why."""
    able = [bench for bench in benches if bench.able]
    if not able:
        return {}, "no engine that serves it runs well"
    if scene.waiting:
        return {}, "requests wait for an engine"
    places: dict[NodeId, int] = {}
    for bench in able:
        idle = not scene.asked.get(bench.node_id) and scene.quiet_s.get(bench.node_id, QUIET_S) >= QUIET_S
        free = bench.slots - scene.guests.get(bench.engine_id, 0)
        if idle and free > 0:
            places[bench.node_id] = places.get(bench.node_id, 0) + free
    return places, "" if places else "every machine that serves it is at work"


def roomiest(places: Mapping[NodeId, int]) -> NodeId:
    """Where the next line goes; of two with as much room, the first by name."""
    return min(places, key=lambda node_id: (-places[node_id], node_id))
