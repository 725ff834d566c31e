"""Which engines should exist and where, and why: wanted models and node reports in, a Placement out.

Each replica gets an engine kind and the artifact that this kind reads; a model may run as vLLM here and as llama.cpp
there. Sticky: an engine that runs where it may run stays there, as the kind it is. Everything must fit, with every byte
that cluster.fit predicts, in the pools that its engine kind uses.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from cluster.desired import FORMAT_OF, WantedModel, WantedNode, engine_id
from cluster.fit import Item, KvBits, Need, Workload, need_of
from cluster.fit_pools import KV_BITS_OF, accelerated, bare_shape, room_of
from cluster.fit_verdict import Needing, Resident, Room, judge
from cluster.units import format_bytes
from inventory.catalog import HeldModel, ModelName
from nodes.orders import EngineSpec
from nodes.snapshot import EngineId, EngineKind, NodeId, NodeSnapshot


@dataclass(frozen=True, slots=True)
class Admission:
    """What a node may be given. open: anything. kept: nothing new, what runs there stays. leaving: what serves there
    stays until another serves instead. shut: nothing, and what runs there is not counted on."""

    kind: Literal["open", "kept", "leaving", "shut"] = "open"
    why: str = ""  # for the owner to read, where it is not open


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that placement may look at."""

    wanted: WantedNode
    snapshot: NodeSnapshot
    admission: Admission = Admission()

    @property
    def node_id(self) -> NodeId:
        return self.snapshot.node_id


@dataclass(frozen=True, slots=True)
class Assignment:
    """One engine that should exist on one node."""

    node_id: NodeId
    spec: EngineSpec
    need_bytes: int  # at its peak
    why: str


@dataclass(frozen=True, slots=True)
class Unplaced:
    """A replica with no node to run on: what stands in the way on each, for the owner to read."""

    model: ModelName
    reasons: tuple[tuple[NodeId, str], ...]

    @property
    def reason(self) -> str:
        if len(self.reasons) == 1:
            return self.reasons[0][1]
        return "; ".join(f"{node_id}: {reason}" for node_id, reason in self.reasons) or "no machine has reported yet"


@dataclass(frozen=True, slots=True)
class Placement:
    assignments: tuple[Assignment, ...]  # by engine id
    unplaced: tuple[Unplaced, ...]  # by model
    stand_ins: frozenset[EngineId] = frozenset()  # not wanted where they are, but left alone until others serve

    def on(self, node_id: NodeId) -> tuple[Assignment, ...]:
        return tuple(assignment for assignment in self.assignments if assignment.node_id == node_id)


@dataclass(frozen=True, slots=True)
class _Option:
    """A way to run a model on one node, and what it needs there."""

    held: HeldModel
    workload: Workload
    need: Need

    @property
    def kind(self) -> EngineKind:
        return self.workload.kind


def place(models: Sequence[WantedModel], candidates: Sequence[Candidate]) -> Placement:
    """Models that run already choose first, so that a newcomer never pushes one out of its memory."""
    nodes = sorted(candidates, key=lambda candidate: candidate.node_id)
    placement = Placement((), ())
    for model in sorted(models, key=lambda model: (not _running(model, nodes), model.name)):
        placement = _with_model(placement, model, nodes)
    return Placement(
        tuple(sorted(placement.assignments, key=lambda assignment: assignment.spec.engine_id)),
        tuple(sorted(placement.unplaced, key=lambda unplaced: unplaced.model)),
        frozenset(identity for model in models for identity in _stand_ins(placement, model, nodes)),
    )


def _with_model(placement: Placement, model: WantedModel, nodes: Sequence[Candidate]) -> Placement:
    for _ in range(model.replicas):
        options: list[tuple[Candidate, _Option]] = []
        reasons: list[tuple[NodeId, str]] = []
        for node in nodes:
            option = _option(model, node, placement)
            if isinstance(option, str):
                reasons.append((node.node_id, option))
            else:
                options.append((node, option))
        if not options:
            unplaced = Unplaced(model.name, _worth_telling(model, reasons))
            return replace(placement, unplaced=(*placement.unplaced, unplaced))
        node, option = min(options, key=lambda pair: _preference(model, pair[0], pair[1], placement))
        placement = replace(placement, assignments=(*placement.assignments, _assign(model, node, option, placement)))
    return placement


def _stand_ins(placement: Placement, model: WantedModel, nodes: Sequence[Candidate]) -> list[EngineId]:
    """One engine on a node that is emptied for each replica elsewhere that does not serve yet."""
    by_id = {node.node_id: node for node in nodes}
    mine = [assignment for assignment in placement.assignments if assignment.spec.model.name == model.name]
    pending = sum(_standing(item.spec.engine_id, by_id[item.node_id]) != _SERVES for item in mine)
    serving = [
        identity
        for node in nodes
        if node.admission.kind == "leaving"
        for identity in sorted(_engine_ids(model, node))
        if _standing(identity, node) == _SERVES
    ]
    return serving[:pending]


def _engine_ids(model: WantedModel, node: Candidate) -> frozenset[EngineId]:
    """Every id that a replica of this model could have on this node."""
    return frozenset(engine_id(model.name, node.node_id, number) for number in range(1, model.replicas + 1))


def _worth_telling(model: WantedModel, reasons: Sequence[tuple[NodeId, str]]) -> tuple[tuple[NodeId, str], ...]:
    """With `on`, only what stands in the way on the nodes it lists, also on those that never reported."""
    if not model.on:
        return tuple(reasons)
    known = dict(reasons)
    return tuple((node_id, known.get(node_id, f"node {node_id} has not joined yet")) for node_id in model.on)


def _option(model: WantedModel, node: Candidate, placement: Placement) -> _Option | str:
    """How this node would run one more replica, or why it cannot."""
    if model.on and node.node_id not in model.on:
        return f"models.{model.name}.on does not list this machine"
    identity = engine_id(model.name, node.node_id, _next_number(model, node, placement))
    if node.admission.kind != "open" and (node.admission.kind != "kept" or _standing(identity, node) == _ABSENT):
        return node.admission.why
    allowed = [kind for kind in node.wanted.engines or model.kinds if kind in model.kinds]
    if not allowed:
        return f"runs only {', '.join(node.wanted.engines)}, and {model.name} needs {', '.join(model.kinds)}"
    installed = {engine.kind for engine in node.snapshot.installed}
    kinds = [kind for kind in allowed if kind in installed]
    if not kinds:
        return f"no engine for it is installed: run `potluck engines install {_install_first(allowed, node)}`"
    held = [held for held in node.snapshot.models if held.ref.name == model.name]
    ways = [_way(model, node, kind, copy) for kind in kinds for copy in held if copy.format == FORMAT_OF[kind]]
    if not ways:
        return _not_held(model, kinds, held)
    problems = [(way, _no_room(model, way, node, placement)) for way in ways]
    fitting = [way for way, problem in problems if problem is None]
    if not fitting:
        told = [problem if len(ways) == 1 else f"as {way.kind} it {problem}" for way, problem in problems]
        return "; ".join(text for text in told if text)
    running = next((engine.kind for engine in node.snapshot.engines if engine.engine_id == identity), None)
    return next((way for way in fitting if way.kind == running), fitting[0])


def _install_first(allowed: Sequence[EngineKind], node: Candidate) -> EngineKind:
    """llama.cpp runs on anything; the other kinds are advised only where the operator named them."""
    if node.wanted.engines or "llamacpp" not in allowed:
        return allowed[0]
    return "llamacpp"


def _not_held(model: WantedModel, kinds: Sequence[EngineKind], held: Sequence[HeldModel]) -> str:
    source = model.source_for(kinds[0])
    if source.startswith("file:"):
        advice = f"run `potluck models import {source.removeprefix('file:')} --name {model.name}`"
    else:
        advice = f"run `potluck models pull {source} --name {model.name}`"
    if held:
        formats = ", ".join(sorted({copy.format for copy in held}))
        return f"on this machine as {formats} only, and {kinds[0]} reads {FORMAT_OF[kinds[0]]}: {advice}"
    return f"not on this machine: {advice}"


def _way(model: WantedModel, node: Candidate, kind: EngineKind, held: HeldModel) -> _Option:
    shape = held.shape or bare_shape(held.size_bytes)
    bits: KvBits = 8 if dict(model.options).get("kv-type") == "q8_0" else 16
    gpu = accelerated(node.snapshot, kind)
    workload = Workload(kind, shape, model.context_tokens, model.slots, bits, gpu)
    return _Option(held, workload, _needing(held)(workload))


def _needing(held: HeldModel) -> Needing:
    """By the model's shape; from a node of an older version, which does not tell it, by its weights."""
    return need_of if held.shape is not None else lambda _: _weights_only(held)


def _weights_only(held: HeldModel) -> Need:
    return Need((Item("weights", held.size_bytes, "its shape is not known: only the weights are counted"),))


def _no_room(model: WantedModel, option: _Option, node: Candidate, placement: Placement) -> str | None:
    identity = engine_id(model.name, node.node_id, _next_number(model, node, placement))
    room = _room(node, option.kind, placement, slack=_standing(identity, node) != _ABSENT)
    # Where it is not readable the engine's own start is the test.
    if room is None or option.need.total_bytes <= room.free_bytes:
        return None
    return judge(option.workload, room, _needing(option.held), KV_BITS_OF[option.kind]).why


def _room(node: Candidate, kind: EngineKind, placement: Placement, slack: bool = False) -> Room | None:
    """Beside all that is placed there so far."""
    holders = [
        (one.spec.kind, Resident(one.spec.engine_id, one.spec.model.name, one.need_bytes, movable=False))
        for one in placement.on(node.node_id)
    ]
    return room_of(node.snapshot, kind, holders, node.wanted.reserve_bytes, slack)


def _preference(
    model: WantedModel, node: Candidate, option: _Option, placement: Placement
) -> tuple[int, int, int, int, NodeId]:
    """Lowest wins: fewest replicas of this model, where it serves or runs, order of `on`, most memory left, name."""
    number = _next_number(model, node, placement)
    listed = model.on.index(node.node_id) if node.node_id in model.on else 0
    room = _room(node, option.kind, placement)
    left = room.free_bytes if room is not None else 0
    return number, _standing(engine_id(model.name, node.node_id, number), node), listed, -left, node.node_id


def _next_number(model: WantedModel, node: Candidate, placement: Placement) -> int:
    return 1 + sum(assignment.spec.model.name == model.name for assignment in placement.on(node.node_id))


_SERVES, _EXISTS, _ABSENT = 0, 1, 2


def _standing(identity: EngineId, node: Candidate) -> int:
    """Lower is better: it serves here, it exists here, it would have to be started here."""
    state = next((engine.state for engine in node.snapshot.engines if engine.engine_id == identity), "stopped")
    return _SERVES if state == "ready" else _ABSENT if state == "stopped" else _EXISTS


def _assign(model: WantedModel, node: Candidate, option: _Option, placement: Placement) -> Assignment:
    identity = engine_id(model.name, node.node_id, _next_number(model, node, placement))
    running = _standing(identity, node) < _ABSENT
    return Assignment(
        node_id=node.node_id,
        spec=EngineSpec(
            engine_id=identity,
            kind=option.kind,
            model=option.held.ref,
            context_tokens=model.context_tokens,
            slots=model.slots,
            options=model.options,
        ),
        need_bytes=option.need.total_bytes,
        why="runs here already" if running else _why(model, node, option, placement),
    )


def _why(model: WantedModel, node: Candidate, option: _Option, placement: Placement) -> str:
    room = _room(node, option.kind, placement)
    size = format_bytes(option.need.total_bytes)
    told = "its memory budget cannot be read" if room is None else f"{size} fit {format_bytes(room.free_bytes)} free"
    listed = f"models.{model.name}.on lists it, " if model.on else ""
    return f"{listed}holds the {option.held.format} artifact, has {option.kind}, {told}"


def _running(model: WantedModel, nodes: Iterable[Candidate]) -> bool:
    return any(_standing(identity, node) < _ABSENT for node in nodes for identity in _engine_ids(model, node))
