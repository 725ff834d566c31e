"""The ledger as a document, error by item for each engine of each node: what API and `--json` print. Pure."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from cluster.fit_engines import MIB
from cluster.fit_ledger import Build, Correction, LedgerRow
from nodes.snapshot import MemoryItem, MemoryTerm

TELLING_BYTES = MIB // 4  # an engine's own figure below this is mostly rounding
_KEPT: tuple[MemoryTerm, ...] = ("kept prompts",)
_OVERHEAD: tuple[MemoryTerm, ...] = ("runtime", "safety")


@dataclass(frozen=True, slots=True)
class ErrorDocument:
    """Shares of what was measured, over all starts that tell it; below zero less was predicted than was taken."""

    item: str
    starts: int
    median: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class StartDocument:
    engine_id: str
    model: str
    context_tokens: int
    users: int
    kv_bits: int
    cache_tokens: int  # that all requests share; 0: each has a context of its own
    predicted: tuple[MemoryItem, ...]
    told: tuple[MemoryItem, ...]  # by the engine itself
    predicted_bytes: int
    peak_bytes: int
    error: float
    served: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class MoreDocument:
    architecture: str
    bytes: int


@dataclass(frozen=True, slots=True)
class BuildDocument:
    """`shift_bytes` is added to what the runtime of every model is predicted to take, `more` for some of them."""

    node: str
    engine: str
    version: str
    accelerated: bool
    errors: tuple[ErrorDocument, ...]  # by item, the total last
    shift_bytes: int
    more: tuple[MoreDocument, ...]
    why: str
    starts: tuple[StartDocument, ...]  # newest first


@dataclass(frozen=True, slots=True)
class LedgerDocument:
    engines: tuple[BuildDocument, ...]


def ledger_document(
    rows: Iterable[LedgerRow], correction: Callable[[Build], Correction], node: str | None = None
) -> LedgerDocument:
    """Of one node, or of all."""
    by_build: dict[Build, list[LedgerRow]] = {}
    for row in sorted(rows, key=lambda row: -row.at_s):
        if node in (None, row.build.node_id):
            by_build.setdefault(row.build, []).append(row)
    builds = sorted(by_build, key=lambda build: (build.node_id, build.kind, build.version, build.accelerated))
    return LedgerDocument(tuple(_build(build, by_build[build], correction(build)) for build in builds))


def _build(build: Build, rows: Sequence[LedgerRow], correction: Correction) -> BuildDocument:
    return BuildDocument(
        node=build.node_id,
        engine=build.kind,
        version=build.version,
        accelerated=build.accelerated,
        errors=tuple(_errors(rows)),
        shift_bytes=correction.shift_bytes,
        more=tuple(MoreDocument(name, size) for name, size in correction.memory.more_of),
        why=correction.why,
        starts=tuple(_start(row) for row in rows),
    )


def _start(row: LedgerRow) -> StartDocument:
    asked = row.workload
    return StartDocument(
        engine_id=row.start.engine_id,
        model=row.model,
        context_tokens=asked.context_tokens,
        users=asked.slots,
        kv_bits=asked.kv_bits,
        cache_tokens=asked.cache_tokens,
        predicted=row.predicted,
        told=row.told,
        predicted_bytes=row.predicted_bytes,
        peak_bytes=row.peak_bytes,
        error=_total_error(row),
        served=row.served,
        at_s=row.at_s,
    )


def _errors(rows: Sequence[LedgerRow]) -> Iterable[ErrorDocument]:
    by_item: dict[str, list[float]] = {}
    for row in rows:
        for name, error in _item_errors(row):
            by_item.setdefault(name, []).append(error)
        by_item.setdefault("total", []).append(_total_error(row))
    by_item["total"] = by_item.pop("total", [])
    for name, errors in by_item.items():
        yield ErrorDocument(name, len(errors), median(errors), min(errors), max(errors))


def _item_errors(row: LedgerRow) -> Iterable[tuple[str, float]]:
    """By each figure of the engine's own, and what all of them leave of the peak as the runtime."""
    for item in row.told:
        if item.size_bytes >= TELLING_BYTES:
            reserve = row.predicted_for(_KEPT) if len(item.terms) > 1 else 0
            yield " + ".join(item.terms), _error(row.predicted_for(item.terms), reserve, item.size_bytes)
    rest = row.peak_bytes - sum(item.size_bytes for item in row.told)
    if any("weights" in item.terms for item in row.told) and rest >= TELLING_BYTES:
        yield " + ".join(_OVERHEAD), _error(row.predicted_for(_OVERHEAD), 0, rest)


def _total_error(row: LedgerRow) -> float:
    kept = row.predicted_for(_KEPT)
    return _error(row.predicted_bytes - kept, kept, row.peak_bytes)


def _error(predicted_bytes: int, reserve_bytes: int, measured_bytes: int) -> float:
    """Caches of earlier prompts gather with use: whatever of their reserve is taken is what was predicted."""
    expected = min(max(measured_bytes, predicted_bytes), predicted_bytes + reserve_bytes)
    return expected / measured_bytes - 1
