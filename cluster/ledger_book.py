"""The head's ledger: told of every engine that is ready, once a tick, and asked for what is predicted with."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

import structlog

from cluster.fit import KvBits, Workload, need_of
from cluster.fit_engines import EngineMemory
from cluster.fit_ledger import Build, Correction, LedgerRow, Start, corrected, kept, memory_for
from cluster.fit_pools import accelerated, pools_of
from cluster.placement_values import Candidate, Placement
from nodes.orders import EngineSpec
from nodes.snapshot import EngineKind, EngineSnapshot, MemoryItem, NodeSnapshot

GROWS_BY = 1.01  # a peak that is higher by less is not written down

log = structlog.get_logger("potluck.cluster.ledger")


class Shelf(Protocol):
    """Where rows outlive this process."""

    def put(self, row: LedgerRow) -> None: ...

    def drop(self, rows: Iterable[LedgerRow]) -> None: ...


class LedgerBook:
    """Its owner calls `note` with what nodes report; everybody may ask."""

    def __init__(self, rows: Iterable[LedgerRow] = (), shelf: Shelf | None = None) -> None:
        self._shelf = shelf
        self._rows = {(row.build.node_id, row.start): row for row in rows}
        self._corrections: dict[Build, Correction] = {}  # of builds that were asked for since their rows changed

    @property
    def rows(self) -> tuple[LedgerRow, ...]:
        return tuple(self._rows.values())

    def correction(self, build: Build) -> Correction:
        if build not in self._corrections:
            mine = [row for row in self._rows.values() if row.build == build]
            self._corrections[build] = corrected(build, mine)
        return self._corrections[build]

    def memories(self, snapshot: NodeSnapshot | None) -> tuple[EngineMemory, ...]:
        """Of the engines that are installed there, those whose figures are corrected."""
        if snapshot is None:
            return ()
        versions = {one.kind: one.version for one in reversed(snapshot.installed)}  # the first of a kind is started
        builds = [_build(snapshot, kind, version) for kind, version in sorted(versions.items())]
        return tuple(found.memory for build in builds if (found := self.correction(build)).changes)

    def note(self, candidates: Iterable[Candidate], placement: Placement, now_s: float) -> None:
        """Of what runs, what was placed: of anything else it is not known what it was asked to do."""
        specs = {one.spec.engine_id: one.spec for one in placement.assignments}
        for candidate in candidates:
            for engine in candidate.snapshot.engines:
                if engine.state == "ready" and engine.engine_id in specs:
                    self._note_engine(candidate.snapshot, engine, specs[engine.engine_id], now_s)

    def _note_engine(self, snapshot: NodeSnapshot, engine: EngineSnapshot, spec: EngineSpec, now_s: float) -> None:
        peak_bytes, workload = measured_bytes(snapshot, engine), _workload(snapshot, engine, spec)
        # By its own account it is known what of its memory is page cache: without that, it is not known what it took.
        if peak_bytes is None or workload is None or engine.pid is None or not engine.memory_items:
            return
        key = (snapshot.node_id, Start(engine.engine_id, engine.generation, engine.pid))
        served = bool(engine.load.output_tokens_total)
        known = self._rows.get(key)
        if known is not None and not _tells_more(known, peak_bytes, served, engine.memory_items):
            return
        if known is None:
            build = _build(snapshot, engine.kind, engine.engine_version or "unknown")
            need = need_of(workload, memory_for(engine.kind, workload.accelerated, self.memories(snapshot)))
            predicted = tuple(MemoryItem((item.term,), item.size_bytes) for item in need.items)
            model = engine.model
            known = LedgerRow(
                build, key[1], model.name, model.artifact_id, workload, predicted, (), peak_bytes, served, now_s
            )
        self._write(
            replace(
                known,
                told=engine.memory_items,
                peak_bytes=max(known.peak_bytes, peak_bytes),
                served=known.served or served,
            )
        )

    def _write(self, row: LedgerRow) -> None:
        before = self.correction(row.build).why
        self._rows[row.build.node_id, row.start] = row
        remaining = kept(self._rows.values())
        gone = set(self._rows) - {(one.build.node_id, one.start) for one in remaining}
        if self._shelf is not None:
            self._shelf.put(row)
            self._shelf.drop([self._rows[key] for key in gone])
        for key in gone:
            del self._rows[key]
        self._corrections.pop(row.build, None)
        after = self.correction(row.build)
        if after.changes and after.why != before:
            log.info("memory_corrected", node=row.build.node_id, engine=row.build.kind, why=after.why)


def measured_bytes(snapshot: NodeSnapshot, engine: EngineSnapshot) -> int | None:
    """The peak in the pools that the need of an engine of this kind is counted against. Where an NVIDIA GPU computes,
    its memory is told by its driver, also where it shares main memory; Apple's is in what macOS charges."""
    parts: list[int | None] = []
    if any(pool.kind != "vram" for pool in pools_of(snapshot, engine.kind)):
        parts.append(engine.memory_peak_bytes)
    gpus = {gpu.vendor for gpu in snapshot.hardware.accelerators}
    if "nvidia" in gpus and accelerated(snapshot, engine.kind):
        parts.append(engine.vram_peak_bytes)
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(parts) else None


def _build(snapshot: NodeSnapshot, kind: EngineKind, version: str) -> Build:
    return Build(snapshot.node_id, kind, version, accelerated(snapshot, kind))


def _workload(snapshot: NodeSnapshot, engine: EngineSnapshot, spec: EngineSpec) -> Workload | None:
    """What runs, in the words of a need; None where it is not what was ordered, or its model's shape is unknown."""
    running = (engine.kind, engine.model.artifact_id, engine.context_tokens, engine.load.slots, engine.cache_tokens)
    if running != (spec.kind, spec.model.artifact_id, spec.context_tokens, spec.slots, spec.cache_tokens):
        return None
    shapes = {held.ref.artifact_id: held.shape for held in snapshot.models}
    shape = shapes.get(spec.model.artifact_id)
    if shape is None:
        return None
    bits: KvBits = 8 if dict(spec.options).get("kv-type") == "q8_0" else 16
    gpu = accelerated(snapshot, spec.kind)
    return Workload(spec.kind, shape, spec.context_tokens, spec.slots, bits, gpu, spec.cache_tokens)


def _tells_more(known: LedgerRow, peak_bytes: int, served: bool, told: tuple[MemoryItem, ...]) -> bool:
    grown = peak_bytes > known.peak_bytes * GROWS_BY or _total(told) > _total(known.told) * GROWS_BY
    return grown or (served and not known.served)


def _total(items: Iterable[MemoryItem]) -> int:
    return sum(item.size_bytes for item in items)
