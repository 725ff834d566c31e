"""What would fit where: a model against every machine of the cluster, also those that are only described. Pure.

One function answers the CLI, the API and the dashboard, so that none of them computes anything itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cluster.config import ClusterConfig, HardwareSection, NodeSection
from cluster.desired import FORMATS_OF
from cluster.fit import KvBits, Workload, need_of
from cluster.fit_engines import EngineMemory
from cluster.fit_ledger import memory_for
from cluster.fit_pools import KV_BITS_OF, accelerated, bare_shape, room_of
from cluster.fit_running import workload_of
from cluster.fit_verdict import Answer, Needing, Resident, Room, Verdict, judge, largest
from cluster.snapshot import ClusterSnapshot, NodeView
from inventory.apple_facts import wired_limit
from inventory.catalog import HeldModel, ModelShape
from inventory.hardware import Accelerator, Hardware, Host, MemoryPool, PoolId, PoolKind, reserve
from inventory.known_models import KNOWN, UnknownModelError, known_model
from inventory.nvidia_facts import gpu_reserve
from nodes.snapshot import EngineKind, EngineSnapshot, NodeId, NodeSnapshot

USUAL: dict[EngineKind, str] = {"llamacpp": "q4_k_m", "vllm": "awq", "mlx": "4bit"}  # of models known by name
MOST_USERS = 4096


@dataclass(frozen=True, slots=True)
class FitQuery:
    """`users` are requests at the same time, each with up to `context_tokens`. Without `quant`: an artifact that is
    here, or else what is usual for each engine kind. Without `node`: every machine."""

    model: str
    context_tokens: int
    users: int
    quant: str | None = None
    kv_bits: KvBits = 16
    node: NodeId | None = None


@dataclass(frozen=True, slots=True)
class FitRow:
    """One way to run the model on one machine. `most_users` is how many it could serve at that context, alone there."""

    node: NodeId
    kind: EngineKind
    quantisation: str
    origin: str  # whose figures these are: a file's headers, or the model's public description
    machine: str  # "reports itself", or "as described in cluster.yaml"
    verdict: Verdict
    most_users: int


@dataclass(frozen=True, slots=True)
class FitReport:
    query: FitQuery
    rows: tuple[FitRow, ...]

    @property
    def fits(self) -> bool:
        return any(row.verdict.answer == "fits" for row in self.rows)


def fit_report(query: FitQuery, config: ClusterConfig, snapshot: ClusterSnapshot | None) -> FitReport:
    """Raises UnknownModelError, UnknownQuantisationError."""
    return FitReport(query, tuple(_row(query, way) for way in ways(query, config, snapshot)))


@dataclass(frozen=True, slots=True)
class Way:
    """A machine, an engine kind that it may run, and an artifact that this kind reads."""

    place: "Machine"
    kind: EngineKind
    shape: ModelShape
    origin: str

    def workload(self, query: FitQuery, context_tokens: int, users: int) -> Workload:
        bits = query.kv_bits if query.kv_bits in KV_BITS_OF[self.kind] else 16
        gpu = accelerated(self.place.snapshot, self.kind)
        return Workload(self.kind, self.shape, context_tokens, users, bits, gpu)

    @property
    def room(self) -> Room:
        """As it is now, with those who are there. Memory that cannot be read is none."""
        held = self.place.snapshot.models
        return self.place.room(self.kind, {one.ref.artifact_id: one.shape for one in held if one.shape}) or Room(0)


def ways(query: FitQuery, config: ClusterConfig, snapshot: ClusterSnapshot | None) -> list[Way]:
    """All ways to run the model. Raises UnknownModelError, UnknownQuantisationError."""
    nodes = snapshot.nodes if snapshot is not None else ()
    held = [model for node in nodes if node.snapshot for model in node.snapshot.models]
    found = [
        Way(place, kind, shape, origin)
        for place in machines(config, nodes)
        if query.node in (None, place.node_id)
        for kind in place.kinds
        for shape, origin in _shapes(query, kind, held)
    ]
    if not found and known_model(query.model) is None and not any(one.ref.name == query.model for one in held):
        names = sorted({str(one.ref.name) for one in held} | {model.name for model in KNOWN})
        raise UnknownModelError(query.model, names)
    return found


def capacity_reports(
    context_tokens: int, users: int, config: ClusterConfig, snapshot: ClusterSnapshot | None
) -> tuple[FitReport, ...]:
    """Every model that is here or known by name, each with its best way first; the largest that fit come first."""
    nodes = snapshot.nodes if snapshot is not None else ()
    here = {str(model.ref.name) for node in nodes if node.snapshot for model in node.snapshot.models}
    names = sorted(here | {model.name for model in KNOWN})
    reports = [fit_report(FitQuery(name, context_tokens, users), config, snapshot) for name in names]
    best = [replace(report, rows=tuple(sorted(report.rows, key=_wish))) for report in reports if report.rows]
    return tuple(sorted(best, key=lambda report: _wish(report.rows[0])))


def _wish(row: FitRow) -> tuple[int, int, int]:
    """Lower is better: what fits, the larger model, the more room beside it."""
    answers: tuple[Answer, ...] = ("fits", "after evicting", "with changes", "never")
    return answers.index(row.verdict.answer), -row.verdict.need.of("weights"), -row.most_users


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine to plan with, whether or not it has joined."""

    node_id: NodeId
    kinds: tuple[EngineKind, ...]
    snapshot: NodeSnapshot
    reports: bool
    memories: tuple[EngineMemory, ...] = ()  # as its ledger has corrected them
    reserve_bytes: int | None = None  # that cluster.yaml keeps free, beside what the machine does by itself

    def needing(self, kind: EngineKind) -> Needing:
        return partial(need_of, memory=memory_for(kind, accelerated(self.snapshot, kind), self.memories))

    def room(self, kind: EngineKind, shapes: Mapping[str, ModelShape]) -> Room | None:
        """`shapes` by artifact id, for what runs there. None where the memory cannot be read."""
        holders = [
            (engine.kind, _resident(engine, self, shapes))
            for engine in self.snapshot.engines
            if engine.state not in ("stopped", "quarantined")
        ]
        return room_of(self.snapshot, kind, holders, self.reserve_bytes)


def machines(config: ClusterConfig, nodes: Sequence[NodeView]) -> tuple[Machine, ...]:
    """Those that report, as they report; those that are only described, as they are described."""
    found: list[Machine] = []
    reporting = {node.node_id: node.snapshot for node in nodes if node.snapshot is not None}
    memories = {node.node_id: node.memories for node in nodes}
    for node_id, snapshot in sorted(reporting.items()):
        section = config.nodes.get(node_id)
        kinds = section.engines if section is not None else ()
        installed = tuple(engine.kind for engine in snapshot.installed)
        kept = section.memory.reserve if section is not None else None
        found.append(Machine(node_id, kinds or installed, snapshot, True, memories[node_id], kept))
    for name, section in sorted(config.nodes.items()):
        if NodeId(name) not in reporting and section.hardware is not None:
            snapshot = described(NodeId(name), section, section.hardware)
            found.append(Machine(NodeId(name), section.engines or _suited(section.hardware), snapshot, reports=False))
    return tuple(found)


def described(node_id: NodeId, section: NodeSection, hardware: HardwareSection) -> NodeSnapshot:
    """A machine as cluster.yaml describes it, with nothing on it."""
    kept = section.memory.reserve
    pools = [_pool("vram", f"vram:{number}", size, gpu_reserve(size)) for number, size in enumerate(hardware.vram)]
    gpus = [Accelerator("nvidia", "a GPU", pool.pool_id, None, None) for pool in pools]
    if hardware.unified is not None:
        total = hardware.unified
        pools.append(_pool("unified", "unified", total, max(reserve(total, kept), total - wired_limit({}, total))))
        gpus.append(Accelerator("apple", "Apple GPU", PoolId("unified"), None, None))
    if hardware.ram is not None:
        pools.append(_pool("ram", "ram", hardware.ram, reserve(hardware.ram, kept)))
    host = Host(hardware.os or "other", "", hardware.arch or "", hardware.cpu, None, None, None)
    facts = Hardware(host, tuple(pools), tuple(gpus), None, None)
    return NodeSnapshot(node_id, section.zone, 0.0, facts, (), (), ())


def _pool(kind: PoolKind, name: str, total_bytes: int, reserved_bytes: int) -> MemoryPool:
    return MemoryPool(PoolId(name), kind, total_bytes, 0, reserved_bytes)


def _suited(hardware: HardwareSection) -> tuple[EngineKind, ...]:
    if hardware.unified is not None:
        return ("mlx", "llamacpp", "encoder")
    return ("vllm", "llamacpp", "encoder") if hardware.vram else ("llamacpp", "encoder")


def _shapes(query: FitQuery, kind: EngineKind, held: Sequence[HeldModel]) -> list[tuple[ModelShape, str]]:
    """The artifact that this kind reads, if some machine has one; else the model as the world knows it."""
    mine = [one for one in held if one.ref.name == query.model and one.format in FORMATS_OF[kind]]
    if mine and query.quant is None:
        return [(mine[0].shape or bare_shape(mine[0].size_bytes), f"the {mine[0].format} artifact's own headers")]
    known = known_model(query.model)
    if known is None or kind not in USUAL:
        return []
    return [(known.shape(query.quant or USUAL[kind]), "the model's public description")]


def _row(query: FitQuery, way: Way) -> FitRow:
    room, needing = way.room, way.place.needing(way.kind)
    workload = partial(way.workload, query, query.context_tokens)
    most = largest(workload, MOST_USERS, 1, Room(room.budget_bytes), needing)
    machine = "reports itself" if way.place.reports else "as described in cluster.yaml"
    verdict = judge(workload(query.users), room, needing, KV_BITS_OF[way.kind])
    return FitRow(way.place.node_id, way.kind, way.shape.quantisation, way.origin, machine, verdict, most or 0)


def _resident(engine: EngineSnapshot, place: Machine, shapes: Mapping[str, ModelShape]) -> Resident:
    shape = shapes.get(engine.model.artifact_id)
    size = 0
    if shape is not None:
        size = place.needing(engine.kind)(workload_of(engine, shape, place.snapshot)).total_bytes
    return Resident(engine.engine_id, engine.model.name, size, movable=not engine.load.running)
