"""The ledger's rows in registry.db: a head that starts again predicts no worse than the one before it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

import msgspec
import structlog

from cluster.fit import Workload
from cluster.fit_ledger import Build, LedgerRow, Start
from cluster.registry import Registry
from inventory.catalog import ArtifactId, ModelName
from nodes.snapshot import EngineId, EngineKind, MemoryItem, NodeId

log = structlog.get_logger("potluck.cluster.ledger")


@dataclass(frozen=True, slots=True)
class _Facts:
    """What no query asks for: one document in one column."""

    workload: Workload
    predicted: tuple[MemoryItem, ...]
    told: tuple[MemoryItem, ...]


class LedgerRecords:
    """Shares the head's connection to its registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def all(self) -> tuple[LedgerRow, ...]:
        """Rows of another version, which knew models by other facts, are passed over."""
        with self._registry.transaction() as connection:
            rows = connection.execute(
                "SELECT node_id, engine_id, generation, pid, engine_kind, version, accelerated, model, artifact_id, "
                "facts, peak_bytes, served, at_s FROM memory_ledger ORDER BY at_s"
            ).fetchall()
        found = []
        for row in rows:
            try:
                facts = msgspec.json.decode(row[9], type=_Facts)
            except msgspec.MsgspecError as error:
                log.warning("ledger_row_unreadable", engine=row[1], error=str(error))
                continue
            build = Build(NodeId(row[0]), cast("EngineKind", row[4]), row[5], bool(row[6]))
            start, model, artifact_id = Start(EngineId(row[1]), row[2], row[3]), ModelName(row[7]), ArtifactId(row[8])
            known = (facts.workload, facts.predicted, facts.told, row[10], bool(row[11]), row[12])
            found.append(LedgerRow(build, start, model, artifact_id, *known))
        return tuple(found)

    def put(self, row: LedgerRow) -> None:
        """Add it, or take the place of what was known of the same start."""
        build, facts = row.build, msgspec.json.encode(_Facts(row.workload, row.predicted, row.told)).decode()
        values = (build.kind, build.version, build.accelerated, row.model, row.artifact_id, facts)
        with self._registry.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO memory_ledger VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*_key(row), *values, row.peak_bytes, row.served, row.at_s),
            )

    def drop(self, rows: Iterable[LedgerRow]) -> None:
        with self._registry.transaction() as connection:
            connection.executemany(
                "DELETE FROM memory_ledger WHERE node_id = ? AND engine_id = ? AND generation = ? AND pid = ?",
                [_key(row) for row in rows],
            )


def _key(row: LedgerRow) -> tuple[NodeId, EngineId, int, int]:
    return row.build.node_id, row.start.engine_id, row.start.generation, row.start.pid
