"""Starts of engines, as a ledger has them."""

from cluster.fit import Workload, need_of
from cluster.fit_ledger import Build, LedgerRow, Start
from inventory.catalog import ArtifactId, ModelName
from nodes.snapshot import EngineId, MemoryItem, NodeId

MIB = 1 << 20


def build_of(workload: Workload, version: str = "1") -> Build:
    return Build(NodeId("box"), workload.kind, version, workload.accelerated)


def start(
    workload: Workload,
    over_bytes: int = 0,
    number: int = 1,
    told: tuple[MemoryItem, ...] = (),
    served: bool = True,
    model: str = "smol",
) -> LedgerRow:
    """One that took `over_bytes` more than its engine's own figures predict."""
    need = need_of(workload)
    return LedgerRow(
        build=build_of(workload),
        start=Start(EngineId(f"{model}.box.1"), number, 4000 + number),
        model=ModelName(model),
        artifact_id=ArtifactId(f"{model}-1"),
        workload=workload,
        predicted=tuple(MemoryItem((item.term,), item.size_bytes) for item in need.items),
        told=told,
        peak_bytes=max(1, need.total_bytes + over_bytes),
        served=served,
        at_s=1000.0 + number,
    )
