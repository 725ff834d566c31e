"""What happened between two snapshots of the cluster, for people: who joined, who was lost, what changed and why."""

from collections.abc import Iterator, Mapping
from typing import Literal, TypeVar

import msgspec

from cluster.snapshot import ClusterSnapshot, ModelView, NodeView
from nodes.snapshot import EngineSnapshot

MOST = 50

HappeningKind = Literal[
    "node_joined",
    "node_left",
    "node_changed",
    "engine_changed",
    "engine_ejected",  # this gateway does not trust it, until it has proved itself
    "engine_readmitted",
    "model_changed",
    "config",
]

Value = TypeVar("Value")


class Happening(msgspec.Struct, frozen=True):
    at: float  # wall time
    kind: HappeningKind
    text: str
    node: str | None = None  # which it is about, as the model
    model: str | None = None


def happenings(before: ClusterSnapshot | None, after: ClusterSnapshot) -> tuple[Happening, ...]:
    """Oldest first. None before the first snapshot: what was always so did not happen."""
    if before is None:
        return ()
    at = after.taken_at_s
    found: list[Happening] = []
    if after.config_revision != before.config_revision:
        found.append(Happening(at, "config", f"configuration {after.config_revision} is in force"))
    found += _of_nodes(at, before, after)
    found += _of_engines(at, before, after)
    found += _of_models(at, before, after)
    return tuple(found)


def ejection(at: float, engine_id: str, place: tuple[str, str], why: str | None) -> Happening:
    """What this gateway holds against an engine; None: nothing any more. `place`: its machine and its model."""
    node, model = place
    if why is None:
        return Happening(
            at, "engine_readmitted", f"{engine_id} on {node}: made a token, and gets requests", node, model
        )
    return Happening(at, "engine_ejected", f"{engine_id} on {node}: gets no requests for now, {why}", node, model)


def _of_nodes(at: float, before: ClusterSnapshot, after: ClusterSnapshot) -> Iterator[Happening]:
    was: Mapping[str, NodeView] = {node.node_id: node for node in before.nodes}
    for name, old, new in _pairs(was, {node.node_id: node for node in after.nodes}):
        told: tuple[HappeningKind, str] | None = None
        if new is None:
            told = "node_left", f"{name} left the cluster"
        elif old is None:
            told = "node_joined", _said(f"{name} joined: {new.state}", new.reason)
        elif new.state != old.state:
            told = "node_changed", _said(f"{name}: {old.state} → {new.state}", new.reason)
        elif new.link != old.link:
            told = "node_changed", _said(f"{name}: link {old.link} → {new.link}", new.link_reason)
        if told is not None:
            yield Happening(at, *told, node=name)


def _of_engines(at: float, before: ClusterSnapshot, after: ClusterSnapshot) -> Iterator[Happening]:
    """Those of a machine that is gone are gone with it, which its own line says."""
    gone = {node.node_id for node in before.nodes} - {node.node_id for node in after.nodes}
    was, now = engines_of(before), engines_of(after)
    for name, old, new in _pairs(was, now):
        known = new or old
        if known is None or (new is None and known[0].node_id in gone):
            continue
        text = _of_engine(name, old[1] if old else None, known[0].node_id, new[1] if new else None)
        if text:
            yield Happening(at, "engine_changed", text, known[0].node_id, known[1].model.name)


def _of_engine(name: str, old: EngineSnapshot | None, node: str, new: EngineSnapshot | None) -> str:
    """ "" where nothing happened to it."""
    place = f"{name} on {node}"
    if new is None:
        return f"{name}: gone from {node}"
    if old is None:
        return _said(f"{place}: {new.state}", new.reason)
    if new.generation != old.generation:
        return _said(f"{place}: started again, {new.state}", new.reason)
    return _said(f"{place}: {old.state} → {new.state}", new.reason) if new.state != old.state else ""


def _of_models(at: float, before: ClusterSnapshot, after: ClusterSnapshot) -> Iterator[Happening]:
    was: Mapping[str, ModelView] = {model.name: model for model in before.models}
    for name, old, new in _pairs(was, {model.name: model for model in after.models}):
        text = ""
        if new is None:
            text = f"{name}: no longer configured"
        elif old is None:
            text = _said(f"{name}: {new.state}", new.reason)
        elif new.state != old.state:
            text = _said(f"{name}: {old.state} → {new.state}", new.reason)
        if text:
            yield Happening(at, "model_changed", text, model=name)


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
