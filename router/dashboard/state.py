"""What the dashboard shows: the cluster's last snapshot and what the gateway knows besides, as one document."""

from collections.abc import Sequence

import msgspec

from cluster.fit_running import running_need
from cluster.snapshot import ClusterSnapshot, ModelView, NodeView
from nodes.snapshot import EngineSnapshot
from router.dashboard.happenings import Happening, engines_of
from router.dashboard.live import Live
from router.dashboard.memory import Pool, pools_of
from router.dashboard.patch import bare


class Node(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    reason: str
    since: float  # wall time
    link: str
    link_reason: str
    duty: str
    labels: dict[str, str]
    os: str | None = None
    accelerators: tuple[str, ...]
    engine_kinds: tuple[str, ...]
    pools: dict[str, Pool]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    reason: str
    context_tokens: int | None = None
    capabilities: tuple[str, ...]
    eta_s: float | None = None
    note: str
    keep_alive_s: float | None = None
    away: bool | None = None  # unloaded by the operator


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    node: str
    model: str
    kind: str
    version: str | None = None
    state: str
    reason: str
    since: float  # wall time
    slots: int | None = None
    running: int | None = None
    waiting: int | None = None
    kv_used: float | None = None  # 0..1
    memory_bytes: int | None = None  # of main memory
    vram_bytes: int | None = None
    need_bytes: int | None = None  # as predicted
    restarts: int


class State(msgspec.Struct, frozen=True, kw_only=True):
    """Unknown is None here, and left out where it is told: see `document`."""

    cluster: str
    epoch: int
    sequence: int
    config_revision: int
    taken_at: float
    age_s: float | None = None  # since the head was heard
    endpoint: str
    nodes: dict[str, Node]
    models: dict[str, Model]
    engines: dict[str, Engine]
    live: Live
    events: tuple[Happening, ...]  # the newest last


def state_of(
    snapshot: ClusterSnapshot, age_s: float | None, endpoint: str, live: Live, events: Sequence[Happening]
) -> State:
    return State(
        cluster=snapshot.cluster,
        epoch=snapshot.epoch,
        sequence=snapshot.sequence,
        config_revision=snapshot.config_revision,
        taken_at=snapshot.taken_at_s,
        age_s=None if age_s is None else round(age_s, 1),
        endpoint=endpoint,
        nodes={node.node_id: _node(node) for node in snapshot.nodes},
        models={model.name: _model(model) for model in snapshot.models},
        engines={engine_id: _engine(node, engine) for engine_id, (node, engine) in engines_of(snapshot).items()},
        live=live,
        events=tuple(events),
    )


def document(state: State) -> dict[str, object]:
    """As JSON, without what is unknown."""
    built = bare(msgspec.to_builtins(state))
    assert isinstance(built, dict)
    return built


def _node(node: NodeView) -> Node:
    told = node.snapshot
    return Node(
        state=node.state,
        reason=node.reason,
        since=node.since_s,
        link=node.link,
        link_reason=node.link_reason,
        duty=node.duty,
        labels=dict(node.labels),
        os=told.hardware.host.os if told is not None else None,
        accelerators=tuple(one.name for one in told.hardware.accelerators) if told is not None else (),
        engine_kinds=tuple(one.kind for one in told.installed) if told is not None else (),
        pools=pools_of(told) if told is not None else {},
    )


def _model(model: ModelView) -> Model:
    return Model(
        state=model.state,
        reason=model.reason,
        context_tokens=model.context_tokens,
        capabilities=tuple(sorted(model.capabilities)),
        eta_s=model.eta_s,
        note=model.note,
        keep_alive_s=model.keep_alive_s,
        away=model.away or None,
    )


def _engine(node: NodeView, engine: EngineSnapshot) -> Engine:
    load, told = engine.load, node.snapshot
    need = running_need(engine, told, node.memories) if told is not None else None
    return Engine(
        node=node.node_id,
        model=engine.model.name,
        kind=engine.kind,
        version=engine.engine_version,
        state=engine.state,
        reason=engine.reason,
        since=engine.since_s,
        slots=load.slots,
        running=load.running,
        waiting=load.waiting,
        kv_used=load.kv_used,
        memory_bytes=engine.memory_bytes,
        vram_bytes=engine.vram_bytes,
        need_bytes=need.total_bytes if need is not None else None,
        restarts=max(0, engine.generation - 1),
    )
