"""What the operator wished of machines, in registry.db: it holds across restarts of everything."""

from typing import cast

import msgspec

from cluster.registry import Registry
from cluster.wishes import Duty, NodeWish
from nodes.snapshot import NodeId

_labels = msgspec.json.Decoder(tuple[tuple[str, str], ...])


class WishRecords:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def all(self) -> tuple[NodeWish, ...]:
        with self._registry.transaction() as connection:
            rows = connection.execute(
                "SELECT node_id, duty, labels, since_s FROM node_wishes ORDER BY node_id"
            ).fetchall()
            return tuple(NodeWish(NodeId(row[0]), cast("Duty", row[1]), _labels.decode(row[2]), row[3]) for row in rows)

    def of(self, node_id: NodeId) -> NodeWish:
        """What was wished of this machine; that it serves, where nothing was."""
        return next((wish for wish in self.all() if wish.node_id == node_id), NodeWish(node_id))

    def put(self, wish: NodeWish) -> None:
        labels = msgspec.json.encode(wish.labels).decode()
        with self._registry.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO node_wishes (node_id, duty, since_s, labels) VALUES (?, ?, ?, ?)",
                (wish.node_id, wish.duty, wish.since_s, labels),
            )

    def forget(self, node_id: NodeId) -> None:
        """The machine was removed: one of the same name that joins later starts afresh."""
        with self._registry.transaction() as connection:
            connection.execute("DELETE FROM node_wishes WHERE node_id = ?", (node_id,))
