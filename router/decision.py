"""What may serve a model: a published ClusterSnapshot turned into candidates and rejections, once per snapshot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from cluster.routes import NamedRoute
from cluster.snapshot import ClusterSnapshot, ModelView, NodeAddress, NodeView
from inventory.catalog import ModelName
from nodes.snapshot import EngineEndpoint, EngineId, EngineSnapshot, NodeId, PressureSnapshot
from nodes.wire import WIRE

STANDING_STILL_S = 15.0  # counters of a busy engine: it may read a long prompt, or hang
DEFAULT_SLOTS = 8  # for an engine that does not say how many requests it serves at once

SHORT = "short of memory"  # begins the reason of an engine whose machine must not get more to do

Terms = tuple[tuple[str, float], ...]  # (name, seconds)
Rejection = tuple[EngineId, str]


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """An engine that can serve a model, as far as the snapshot knows."""

    engine_id: EngineId
    node_id: NodeId
    generation: int
    endpoint: EngineEndpoint
    served_name: str  # the model's name on the engine's own wire
    revision: str
    context_tokens: int
    cache_tokens: int  # that all its requests share; 0: each slot has a context of its own
    slots: int
    always_stream: bool  # this kind of engine notices only the end of a stream: whole answers are assembled
    stream_extra: bytes  # ends the body of a streamed request to this kind of engine; empty for most
    progress_key: bytes | None  # events with this key are the engine's progress in a prompt, not for clients
    last_resort: str  # why it is used only while no other engine can serve; "" for most
    progress_age_s: float | None  # how long its counters have stood still while busy, when its node reported
    node_address: NodeAddress | None  # of another machine, which is reached through its TLS port
    standing_terms: Terms  # costs that hold for every request until the next snapshot


class ScoreBreakdown(msgspec.Struct, frozen=True, order=True):
    """Sorts by total, then by engine id, so that a replay agrees with the log."""

    total_s: float
    engine_id: EngineId
    candidate: Candidate
    terms: Terms


class Decision(msgspec.Struct, frozen=True):
    """Best first; empty means nobody can serve. `reason` is from a closed set, as metrics need it."""

    ranked: Sequence[ScoreBreakdown]
    rejected: Sequence[Rejection]
    reason: str


@dataclass(frozen=True, slots=True)
class ModelRoutes:
    view: ModelView
    candidates: tuple[Candidate, ...]  # by engine id
    rejected: tuple[Rejection, ...]
    smallest_context: int  # tokens, among the candidates
    held_up: str = ""  # why engines that serve get nothing new for now, where that is all that stands in the way


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """`names` has every name a client may ask for: models, their aliases, and routes, of which the model is told that
    they lead to where no rule holds."""

    models: dict[ModelName, ModelRoutes]
    names: dict[str, ModelRoutes]
    engines: Mapping[EngineId, ModelName] = field(default_factory=dict)  # all of the snapshot, able to serve or not
    lost: frozenset[EngineId] = frozenset()  # engines of machines that are gone: what they had begun goes on nowhere
    leaving: tuple[tuple[EngineId, int], ...] = ()  # engines that finish what they work on, with their slots
    routes: Mapping[str, NamedRoute] = field(default_factory=dict)


def routing_table(snapshot: ClusterSnapshot) -> RoutingTable:
    """Every configured model with the engines that can serve it, and why the others cannot."""
    found: dict[ModelName, list[Candidate | Rejection]] = {view.name: [] for view in snapshot.models}
    for node in snapshot.nodes:
        for engine in node.snapshot.engines if node.snapshot else ():
            found.setdefault(engine.model.name, []).append(_judge(node, engine))
    models = {view.name: _routes(view, found[view.name]) for view in snapshot.models}
    aliases = {alias: models[ModelName(name)] for alias, name in snapshot.aliases if name in models}
    routes = {route.name: route for route in snapshot.routes if route.otherwise in models}
    chosen = {name: models[route.otherwise] for name, route in routes.items()}
    names = chosen | aliases | {str(name): routes for name, routes in models.items()}
    engines = [(node, engine) for node in snapshot.nodes if node.snapshot for engine in node.snapshot.engines]
    lost = frozenset(engine.engine_id for node, engine in engines if node.state == "lost")
    leaving = tuple(
        (engine.engine_id, engine.load.slots or DEFAULT_SLOTS)
        for node, engine in engines
        if node.state == "draining" or engine.state == "draining"
    )
    return RoutingTable(models, names, {one.engine_id: one.model.name for _, one in engines}, lost, leaving, routes)


def _routes(view: ModelView, verdicts: Iterable[Candidate | Rejection]) -> ModelRoutes:
    if view.state in ("asleep", "yielding"):  # its engines finish what they have; who comes now waits until it is back
        verdicts = [_closed(verdict, view) for verdict in verdicts]
    verdicts = tuple(verdicts)
    fit = [verdict for verdict in verdicts if isinstance(verdict, Candidate)]
    short = [verdict[1] for verdict in verdicts if not isinstance(verdict, Candidate) and verdict[1].startswith(SHORT)]
    return ModelRoutes(
        view=view,
        candidates=tuple(sorted(fit, key=lambda candidate: candidate.engine_id)),
        rejected=tuple(sorted(verdict for verdict in verdicts if not isinstance(verdict, Candidate))),
        smallest_context=min((candidate.context_tokens for candidate in fit), default=0),
        held_up=short[0] if short and not fit else "",
    )


def _closed(verdict: Candidate | Rejection, view: ModelView) -> Rejection:
    return (verdict.engine_id, f"{view.state}: {view.reason}") if isinstance(verdict, Candidate) else verdict


def _judge(node: NodeView, engine: EngineSnapshot) -> Candidate | Rejection:
    why = _unfit(node, engine)
    if why is not None or engine.endpoint is None:
        return engine.engine_id, why or "no endpoint"
    wire = WIRE[engine.kind]
    return Candidate(
        engine_id=engine.engine_id,
        node_id=node.node_id,
        generation=engine.generation,
        endpoint=engine.endpoint,
        served_name=engine.model.name,
        revision=str(engine.model),
        context_tokens=engine.context_tokens,
        cache_tokens=engine.cache_tokens,
        slots=engine.load.slots or DEFAULT_SLOTS,
        always_stream=wire.cancel_whole == "never",
        stream_extra=f',"{wire.prompt_cancel_field}":true}}'.encode() if wire.prompt_cancel_field else b"",
        progress_key=f'"{wire.progress_key}"'.encode() if wire.progress_key else None,
        last_resort=_last_resort(node, engine),
        progress_age_s=engine.progress_age_s,
        node_address=node.address,
        standing_terms=(),
    )


def _last_resort(node: NodeView, engine: EngineSnapshot) -> str:
    if node.state in ("suspect", "draining"):
        return f"node {node.state}: {node.reason}"
    if (pressure := _pressure(node)) is not None and pressure.level != "calm":
        return f"node {pressure.level} of memory: {pressure.reason}"
    if engine.progress_age_s is not None and engine.progress_age_s > STANDING_STILL_S:
        return f"stands still: no progress for {engine.progress_age_s:.0f} s"
    return ""


def _unfit(node: NodeView, engine: EngineSnapshot) -> str | None:
    """How old a report is, the head judges by its own clock: a node's clock may be wrong by any amount."""
    if node.state in ("joining", "lost"):
        return f"node {node.state}: {node.reason}"
    if node.link != "local" and node.address is None:
        return "the address of its machine is not known"
    if engine.state != "ready":
        return f"{engine.state}: {engine.reason}"
    if (pressure := _pressure(node)) is not None and pressure.level in ("short", "critical"):
        return f"{SHORT}: {pressure.reason}"
    return None


def _pressure(node: NodeView) -> PressureSnapshot | None:
    return node.snapshot.pressure if node.snapshot is not None else None
