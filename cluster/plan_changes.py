"""From what runs to what would: engines that start, stop, restart and stay, and memory before and after. Pure."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf

from cluster.desired import Desired
from cluster.fit import Workload, need_of
from cluster.fit_pools import accelerated, pools_of, room_of
from cluster.load_times import LoadBook, LoadKey
from cluster.placement_values import Assignment, Candidate, Placement
from cluster.plan_values import Change, EngineChange, PoolChange
from cluster.reconcile import DrainEngine, EnsureEngine, Goal, StopEngine, reconcile
from nodes.orders import Authority, EngineSpec
from nodes.snapshot import EngineId, EngineKind, EngineSnapshot, NodeSnapshot


@dataclass(frozen=True, slots=True)
class Step:
    """`before` is what the configuration in force asks for, `after` what the other one would. Nodes that do not answer
    are among the candidates, and not among those that can be told anything: `reachable`."""

    desired: Desired
    candidates: Sequence[Candidate]
    reachable: Sequence[NodeSnapshot]
    before: Placement
    after: Placement


def engine_changes(step: Step, loads: LoadBook) -> Iterator[EngineChange]:
    """What the reconciler would do: first with what runs, then as if all had left that has to."""
    goal = Goal(step.after, Authority(0, step.desired.revision), step.desired.drain_s)
    leaving = {
        order.engine_id: order
        for order in reconcile(goal, step.reachable, inf)
        if isinstance(order, DrainEngine | StopEngine)
    }
    for snapshot in step.reachable:
        for engine in snapshot.engines:
            if engine.engine_id in leaving:
                size, why = _size(engine, snapshot, step.before), leaving[engine.engine_id].why
                where = (engine.engine_id, snapshot.node_id, engine.model.name, engine.kind)
                yield EngineChange(*where, "stop", why, size)
    calm = [_without(snapshot, leaving) for snapshot in step.reachable]
    starting = {one.engine_id: one for one in reconcile(goal, calm, inf) if isinstance(one, EnsureEngine)}
    running = {engine.engine_id: engine for one in step.candidates for engine in _holding(one.snapshot)}
    for item in step.after.assignments:
        runs = running.get(item.spec.engine_id)
        if runs is not None:
            why = _difference(_spec_before(step.before, item.spec, runs), item.spec)
            yield _changed(item, "restart" if why else "stay", why, loads)
        elif item.spec.engine_id in starting:
            yield _changed(item, "start", item.why, loads)


def pool_changes(step: Step) -> Iterator[PoolChange]:
    """A row for all pools that engines of one kind use, on each machine."""
    for one in step.candidates:
        before = [(engine.kind, _size(engine, one.snapshot, step.before)) for engine in _holding(one.snapshot)]
        after = [(item.spec.kind, item.need_bytes) for item in step.after.on(one.node_id)]
        # llama.cpp may use them all: where nothing runs, they are shown together.
        kinds = [kind for kind, _ in (*before, *after)] or ["llamacpp"]
        by_pools: dict[str, EngineKind] = {}
        for kind in kinds:
            by_pools.setdefault("+".join(pool.pool_id for pool in pools_of(one.snapshot, kind)), kind)
        for names, kind in sorted(by_pools.items()):
            room = room_of(one.snapshot, kind, (), one.wanted.reserve_bytes)
            budget = room.budget_bytes if room is not None else None
            held = _together(one.snapshot, kind, before), _together(one.snapshot, kind, after)
            yield PoolChange(one.node_id, names, budget, *held)


def _together(snapshot: NodeSnapshot, kind: EngineKind, sizes: Sequence[tuple[EngineKind, int]]) -> int:
    """Of all that share a pool with this kind."""
    mine = set(pools_of(snapshot, kind))
    return sum(size for other, size in sizes if mine & set(pools_of(snapshot, other)))


def _without(snapshot: NodeSnapshot, leaving: Collection[EngineId]) -> NodeSnapshot:
    return replace(snapshot, engines=tuple(one for one in snapshot.engines if one.engine_id not in leaving))


def _holding(snapshot: NodeSnapshot) -> list[EngineSnapshot]:
    return [engine for engine in snapshot.engines if engine.state not in ("stopped", "stopping")]


def _size(engine: EngineSnapshot, snapshot: NodeSnapshot, before: Placement) -> int:
    """As it was placed; of one that nobody placed, by its artifact's shape, or else what it holds."""
    for item in before.assignments:
        if item.spec.engine_id == engine.engine_id and item.spec.model == engine.model:
            return item.need_bytes
    held = (one.shape for one in snapshot.models if one.ref.artifact_id == engine.model.artifact_id)
    shape = next((shape for shape in held if shape is not None), None)
    if shape is None:
        return engine.memory_peak_bytes or 0
    gpu = accelerated(snapshot, engine.kind)
    slots = engine.load.slots or 1
    return need_of(Workload(engine.kind, shape, engine.context_tokens, slots, 16, gpu, engine.cache_tokens)).total_bytes


def _spec_before(before: Placement, spec: EngineSpec, engine: EngineSnapshot) -> EngineSpec:
    """As it was ordered; of one that nobody remembers, as it reports itself."""
    for item in before.assignments:
        if item.spec.engine_id == engine.engine_id and item.spec.model == engine.model:
            return item.spec
    slots = engine.load.slots or spec.slots
    return replace(spec, kind=engine.kind, model=engine.model, context_tokens=engine.context_tokens, slots=slots)


def _difference(before: EngineSpec, after: EngineSpec) -> str:
    """Why it has to start again; "" where it does not."""
    if before == after:
        return ""
    told = [
        f"{name} {was} -> {becomes}"
        for name, was, becomes in (
            ("engine", before.kind, after.kind),
            ("artifact", before.model.revision, after.model.revision),
            ("context", before.context_tokens, after.context_tokens),
            ("slots", before.slots, after.slots),
            ("cache", before.cache_tokens, after.cache_tokens),
        )
        if was != becomes
    ]
    return ", ".join(told) or "settings of its engine"


def _changed(item: Assignment, change: Change, why: str, loads: LoadBook) -> EngineChange:
    spec = item.spec
    load_s = loads.expected_s(LoadKey(item.node_id, spec.model.artifact_id, spec.kind))
    return EngineChange(
        spec.engine_id, item.node_id, spec.model.name, spec.kind, change, why, item.need_bytes,
        load_s if change in ("start", "restart") else None,
    )  # fmt: skip
