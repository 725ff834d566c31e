"""What may serve a model: a published ClusterSnapshot turned into candidates and rejections, once per snapshot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from cluster.router_policy import RouterPolicy, SideCalls, Warming
from cluster.routes import NamedRoute
from cluster.snapshot import ClusterSnapshot, ModelView, NodeAddress, NodeView
from inventory.catalog import Capability, ModelName
from nodes.rates import Rates
from nodes.snapshot import EngineEndpoint, EngineId, EngineKind, EngineSnapshot, NodeId, PressureSnapshot
from nodes.wire import WIRE
from router.borders import Borders, borders_of
from router.capabilities import lacks_of, proof_of_life
from router.cost import Prospect, Terms
from router.ranking import Contest, Place
from router.request import WRITING, EngineApi, Feature
from router.strangers import Report

STANDING_STILL_S = 15.0  # counters of a busy engine: it may read a long prompt, or hang
DEFAULT_SLOTS = 8  # for an engine that does not say how many requests it serves at once

SHORT = "short of memory"  # begins the reason of an engine whose machine must not get more to do

Rejection = tuple[EngineId, str]

RouteReason = Literal[
    "nobody", "only_fit", "fallback", "least_loaded", "least_cost", "round_robin", "least_requests", "power_of_two",
    "weighted_sum", "side_call",
]  # fmt: skip
"""Why this engine, in a word: a closed set, as metrics need it. least_loaded: nobody has measured these engines yet.
side_call: a front end's own call, which only those that are awake may answer."""
POLICY_REASONS: Mapping[RouterPolicy, RouteReason] = {
    "seconds": "least_cost",
    "round-robin": "round_robin",
    "least-requests": "least_requests",
    "power-of-two": "power_of_two",
    "weighted-sum": "weighted_sum",
}


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
    rates: Rates | None = None  # None: its machine has not measured it
    report: Report | None = None  # how busy it says it is
    lacks: frozenset[Feature] = frozenset()  # what this kind of engine cannot do
    kind: EngineKind = "vllm"
    proof: EngineApi = "completions"  # what it is asked for a sign of life
    salted: bool = False  # it keeps caches of prompts apart by a salt, and every tenant has one


Entrant: TypeAlias = tuple[Candidate, int]
"""Whoever may be chosen, with its requests in flight."""


class ScoreBreakdown(NamedTuple):
    total_s: float
    engine_id: EngineId
    candidate: Candidate
    terms: Terms


class Decision(msgspec.Struct, frozen=True, gc=False):
    """Its places, best first; none means that nobody can serve. Made for each request, so it holds what the ranking
    came from, and says what follows from that when it is asked."""

    entrants: Sequence[Entrant]  # in the order of the contest
    places: Sequence[Place]
    rejected: Sequence[Rejection]
    reason: RouteReason
    contest: Contest
    chosen: Candidate | None  # the first of its places
    prospect: Prospect | None = None  # what the seconds were reckoned from

    @property
    def ranked(self) -> Sequence[ScoreBreakdown]:
        return [
            ScoreBreakdown(place.total_s, place.engine_id, self.entrants[place.at][0], place.terms)
            for place in self.places
        ]


@dataclass(frozen=True, slots=True)
class ModelRoutes:
    view: ModelView
    candidates: tuple[Candidate, ...]  # by engine id
    rejected: tuple[Rejection, ...]
    smallest_context: int  # tokens, among the candidates
    engine_ids: tuple[EngineId, ...]  # theirs, in the same order
    plain: bool = False  # none is of last resort or shares a cache among its requests: all are looked at alike
    held_up: str = ""  # why engines that serve get nothing new for now, where that is all that stands in the way
    policy: RouterPolicy = "seconds"
    measured: bool = False  # every candidate: seconds and counts are not compared
    zones: frozenset[str] | None = None  # what is left of it for requests that are bound to these; None: all of it
    outside: bool = False  # no machine of these zones serves it or is about to


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
    side_calls: SideCalls = "warm"
    warming: Warming = "off"
    borders: Borders = field(default_factory=Borders)


def routing_table(snapshot: ClusterSnapshot) -> RoutingTable:
    """Every configured model with the engines that can serve it, and why the others cannot."""
    found: dict[ModelName, list[Candidate | Rejection]] = {view.name: [] for view in snapshot.models}
    able = {view.name: view.capabilities for view in snapshot.models}
    for node in snapshot.nodes:
        for engine in node.snapshot.engines if node.snapshot else ():
            name = engine.model.name
            found.setdefault(name, []).append(_judge(node, engine, able.get(name, frozenset())))
    models = {view.name: _routes(view, found[view.name], snapshot.policy) for view in snapshot.models}
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
    known = {one.engine_id: one.model.name for _, one in engines}
    aside, warming = snapshot.side_calls, snapshot.warming
    return RoutingTable(models, names, known, lost, leaving, routes, aside, warming, borders_of(snapshot))


def _routes(view: ModelView, verdicts: Iterable[Candidate | Rejection], policy: RouterPolicy) -> ModelRoutes:
    if view.state in ("asleep", "yielding"):  # its engines finish what they have; who comes now waits until it is back
        verdicts = [_closed(verdict, view) for verdict in verdicts]
    verdicts = tuple(verdicts)
    fit = [verdict for verdict in verdicts if isinstance(verdict, Candidate)]
    short = [verdict[1] for verdict in verdicts if not isinstance(verdict, Candidate) and verdict[1].startswith(SHORT)]
    candidates = tuple(sorted(fit, key=lambda candidate: candidate.engine_id))
    return ModelRoutes(
        view=view,
        candidates=candidates,
        rejected=tuple(sorted(verdict for verdict in verdicts if not isinstance(verdict, Candidate))),
        smallest_context=min((candidate.context_tokens for candidate in fit), default=0),
        engine_ids=tuple(candidate.engine_id for candidate in candidates),
        plain=not any(candidate.last_resort or candidate.cache_tokens for candidate in fit),
        held_up=short[0] if short and not fit else "",
        policy=policy,
        measured=all(candidate.rates is not None for candidate in fit),
    )


def _closed(verdict: Candidate | Rejection, view: ModelView) -> Rejection:
    return (verdict.engine_id, f"{view.state}: {view.reason}") if isinstance(verdict, Candidate) else verdict


def _judge(node: NodeView, engine: EngineSnapshot, able: frozenset[Capability]) -> Candidate | Rejection:
    """An engine that does not write keeps nothing of what it read, and nobody measures it: how many requests it has is
    what it is chosen by."""
    why = _unfit(node, engine)
    if why is not None or engine.endpoint is None:
        return engine.engine_id, why or "no endpoint"
    wire, proof = WIRE[engine.kind], proof_of_life(able)
    writes = proof in WRITING
    return Candidate(
        engine_id=engine.engine_id,
        node_id=node.node_id,
        generation=engine.generation,
        endpoint=engine.endpoint,
        served_name=engine.model.name,
        revision=str(engine.model),
        context_tokens=engine.context_tokens,
        cache_tokens=engine.cache_tokens if writes else 0,
        slots=engine.load.slots or DEFAULT_SLOTS,
        always_stream=wire.cancel_whole == "never",
        stream_extra=f',"{wire.prompt_cancel_field}":true}}'.encode() if wire.prompt_cancel_field else b"",
        progress_key=f'"{wire.progress_key}"'.encode() if wire.progress_key else None,
        last_resort=_last_resort(node, engine),
        progress_age_s=engine.progress_age_s,
        node_address=node.address,
        standing_terms=(),
        rates=engine.rates if writes else None,
        report=_report(node, engine),
        lacks=lacks_of(engine.kind, able),
        kind=engine.kind,
        proof=proof,
        salted=wire.cache_salt and writes,
    )


def _report(node: NodeView, engine: EngineSnapshot) -> Report | None:
    load = engine.load
    if node.snapshot is None or load.running is None:
        return None
    return Report(node.snapshot.taken_at_s, load.running, load.waiting or 0)


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
