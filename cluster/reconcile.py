"""Placement against what was observed -> the ordered actions that close the gap, each with its reason.

Level-triggered: nothing is remembered from one call to the next. Where there is no gap the answer is ().
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cluster.copies import CopyModel
from cluster.doubts import EngineDoubt, is_borne_out
from cluster.placement_values import Assignment, Placement
from nodes.orders import Authority, EngineSpec
from nodes.snapshot import EngineId, EngineSnapshot, NodeId, NodeSnapshot


@dataclass(frozen=True, slots=True)
class EnsureEngine:
    """Start it, or make the one that runs conform. A node that has it as specified only notes the new revision."""

    node_id: NodeId
    spec: EngineSpec
    authority: Authority
    why: str

    @property
    def engine_id(self) -> EngineId:
        return self.spec.engine_id


@dataclass(frozen=True, slots=True)
class DrainEngine:
    """Take no more requests, finish those it has."""

    node_id: NodeId
    engine_id: EngineId
    authority: Authority
    why: str


@dataclass(frozen=True, slots=True)
class StopEngine:
    node_id: NodeId
    engine_id: EngineId
    authority: Authority
    why: str


Action = EnsureEngine | DrainEngine | StopEngine | CopyModel


@dataclass(frozen=True, slots=True)
class Goal:
    placement: Placement
    authority: Authority
    drain_s: float  # an engine that drains longer than this is stopped with what it has
    doubts: tuple[EngineDoubt, ...] = ()


def reconcile(goal: Goal, observed: Sequence[NodeSnapshot], now_s: float) -> tuple[Action, ...]:
    """Only nodes in `observed` are acted on. What goes leaves before anything starts: it holds memory."""
    leaving: list[Action] = []
    starting: list[Action] = []
    for node in sorted(observed, key=lambda node: node.node_id):
        wanted = {assignment.spec.engine_id: assignment for assignment in goal.placement.on(node.node_id)}
        present = {engine.engine_id: engine for engine in node.engines}
        for _, unwanted in sorted(present.items()):
            if unwanted.engine_id not in wanted and unwanted.engine_id not in goal.placement.stand_ins:
                leaving += _dismiss(unwanted, node.node_id, goal, now_s)
        crowded = any(engine.engine_id not in wanted and _holds_memory(engine) for engine in node.engines)
        for engine_id, assignment in sorted(wanted.items()):
            engine = present.get(engine_id)
            # What leaves this node frees its memory first; then what is missing may start.
            if crowded and (engine is None or not _holds_memory(engine)):
                continue
            starting += _restart(assignment, engine, goal) or _ensure(assignment, engine, goal.authority)
    return (*leaving, *starting)


def _dismiss(engine: EngineSnapshot, node_id: NodeId, goal: Goal, now_s: float) -> list[Action]:
    if engine.state == "stopping":
        return []
    why = "no longer placed here"
    if engine.state == "ready":
        return [DrainEngine(node_id, engine.engine_id, goal.authority, why)]
    if engine.state == "draining" and now_s - engine.since_s < goal.drain_s:
        return []
    return [StopEngine(node_id, engine.engine_id, goal.authority, f"{why}; it is {engine.state}")]


def _restart(assignment: Assignment, engine: EngineSnapshot | None, goal: Goal) -> list[Action]:
    """An engine that hangs unknown to its node is stopped; then it is missing, and started again."""
    for doubt in goal.doubts:
        if engine is not None and is_borne_out(doubt, engine):
            return [StopEngine(assignment.node_id, engine.engine_id, goal.authority, f"it hangs: {doubt.reason}")]
    return []


def _holds_memory(engine: EngineSnapshot) -> bool:
    return engine.state != "stopped"


def _ensure(assignment: Assignment, engine: EngineSnapshot | None, authority: Authority) -> list[Action]:
    why = _gap(assignment, engine, authority)
    return [EnsureEngine(assignment.node_id, assignment.spec, authority, why)] if why is not None else []


def _gap(assignment: Assignment, engine: EngineSnapshot | None, authority: Authority) -> str | None:
    """Why an order is due, or None where the engine is as it should be or on its way there."""
    spec = assignment.spec
    if engine is None:
        return f"missing: {assignment.why}"
    if engine.state == "stopping":
        return None
    if engine.state in ("stopped", "draining"):
        return f"it is {engine.state}, and placed here: {assignment.why}"
    if engine.kind != spec.kind:
        return f"runs as {engine.kind}, placed as {spec.kind}"
    if engine.model != spec.model:
        return f"serves {engine.model}, placed with {spec.model}"
    if engine.config_revision != authority.config_revision:
        return f"follows configuration {engine.config_revision}, current is {authority.config_revision}"
    return None
