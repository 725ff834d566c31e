"""What happened between two snapshots of the cluster, for people: who joined, who was lost, what changed and why."""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeVar

import msgspec

from cluster.snapshot import ClusterSnapshot, ModelView, NodeView
from nodes.snapshot import EngineSnapshot

MOST = 50

HappeningKind = Literal["node_joined", "node_left", "node_changed", "engine_changed", "model_changed", "config"]

Value = TypeVar("Value")


class Happening(msgspec.Struct, frozen=True):
    at: float  # wall time
    kind: HappeningKind
    text: str


def happenings(before: ClusterSnapshot | None, after: ClusterSnapshot) -> tuple[Happening, ...]:
    """Oldest first. None before the first snapshot: what was always so did not happen."""
    if before is None:
        return ()
    at = after.taken_at_s
    found: list[Happening] = []
    if after.config_revision != before.config_revision:
        found.append(Happening(at, "config", f"configuration {after.config_revision} is in force"))
    found += [Happening(at, kind, text) for kind, text in _of_nodes(before, after)]
    found += [Happening(at, "engine_changed", text) for text in _of_engines(before, after)]
    found += [Happening(at, "model_changed", text) for text in _of_models(before, after)]
    return tuple(found)


def _of_nodes(before: ClusterSnapshot, after: ClusterSnapshot) -> Iterator[tuple[HappeningKind, str]]:
    was: Mapping[str, NodeView] = {node.node_id: node for node in before.nodes}
    for name, old, new in _pairs(was, {node.node_id: node for node in after.nodes}):
        if new is None:
            yield "node_left", f"{name} left the cluster"
        elif old is None:
            yield "node_joined", _said(f"{name} joined: {new.state}", new.reason)
        elif new.state != old.state:
            yield "node_changed", _said(f"{name}: {old.state} → {new.state}", new.reason)
        elif new.link != old.link:
            yield "node_changed", _said(f"{name}: link {old.link} → {new.link}", new.link_reason)


def _of_engines(before: ClusterSnapshot, after: ClusterSnapshot) -> Iterator[str]:
    """Those of a machine that is gone are gone with it, which its own line says."""
    gone = {node.node_id for node in before.nodes} - {node.node_id for node in after.nodes}
    was, now = engines_of(before), engines_of(after)
    for name, old, new in _pairs(was, now):
        if new is None:
            if old is not None and old[0].node_id not in gone:
                yield f"{name}: gone from {old[0].node_id}"
            continue
        node, engine = new
        place = f"{name} on {node.node_id}"
        if old is None:
            yield _said(f"{place}: {engine.state}", engine.reason)
        elif engine.generation != old[1].generation:
            yield _said(f"{place}: started again, {engine.state}", engine.reason)
        elif engine.state != old[1].state:
            yield _said(f"{place}: {old[1].state} → {engine.state}", engine.reason)


def _of_models(before: ClusterSnapshot, after: ClusterSnapshot) -> Iterator[str]:
    was: Mapping[str, ModelView] = {model.name: model for model in before.models}
    for name, old, new in _pairs(was, {model.name: model for model in after.models}):
        if new is None:
            yield f"{name}: no longer configured"
        elif old is None:
            yield _said(f"{name}: {new.state}", new.reason)
        elif new.state != old.state:
            yield _said(f"{name}: {old.state} → {new.state}", new.reason)


def engines_of(snapshot: ClusterSnapshot) -> dict[str, tuple[NodeView, EngineSnapshot]]:
    return {
        engine.engine_id: (node, engine)
        for node in snapshot.nodes
        if node.snapshot is not None
        for engine in node.snapshot.engines
    }


def _pairs(was: Mapping[str, Value], now: Mapping[str, Value]) -> Iterator[tuple[str, Value | None, Value | None]]:
    for key in sorted(was.keys() | now.keys()):
        yield key, was.get(key), now.get(key)


def _said(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what
