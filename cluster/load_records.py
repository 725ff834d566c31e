"""Measured load times in registry.db, so that a head that starts again can say how long a model will take."""

from typing import cast

from cluster.load_times import KEPT, LoadKey, LoadTime
from cluster.registry import Registry
from inventory.catalog import ArtifactId
from nodes.snapshot import EngineKind, NodeId


class LoadRecords:
    """Shares the head's connection to its registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def all(self) -> tuple[LoadTime, ...]:
        with self._registry.transaction() as connection:
            rows = connection.execute(
                "SELECT node_id, artifact_id, engine_kind, seconds, at_s FROM load_times ORDER BY at_s"
            ).fetchall()
        return tuple(
            LoadTime(LoadKey(NodeId(row[0]), ArtifactId(row[1]), cast("EngineKind", row[2])), row[3], row[4])
            for row in rows
        )

    def put(self, time: LoadTime) -> None:
        """Add it; older ones of the same key than the last few are dropped."""
        key = (time.key.node_id, time.key.artifact_id, time.key.kind)
        with self._registry.transaction() as connection:
            connection.execute("INSERT INTO load_times VALUES (?, ?, ?, ?, ?)", (*key, time.seconds, time.at_s))
            connection.execute(
                "DELETE FROM load_times WHERE node_id = ? AND artifact_id = ? AND engine_kind = ? AND rowid NOT IN "
                "(SELECT rowid FROM load_times WHERE node_id = ? AND artifact_id = ? AND engine_kind = ? "
                "ORDER BY at_s DESC, rowid DESC LIMIT ?)",
                (*key, *key, KEPT),
            )
