"""What the operator wished of models, in registry.db: one that is unloaded stays away across all restarts."""

from dataclasses import dataclass

from cluster.registry import Registry
from inventory.catalog import ModelName


@dataclass(frozen=True, slots=True)
class ModelWish:
    """`away`: it has no engine until it is loaded again. Otherwise it is as cluster.yaml says."""

    model: ModelName
    away: bool
    since_s: float  # wall time


class ModelWishRecords:
    """Those that are away."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def all(self) -> tuple[ModelWish, ...]:
        with self._registry.transaction() as connection:
            rows = connection.execute("SELECT model, since_s FROM models_away ORDER BY model").fetchall()
        return tuple(ModelWish(ModelName(model), True, since_s) for model, since_s in rows)

    def put(self, wish: ModelWish) -> None:
        with self._registry.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO models_away VALUES (?, ?)", (wish.model, wish.since_s))

    def forget(self, model: ModelName) -> None:
        with self._registry.transaction() as connection:
            connection.execute("DELETE FROM models_away WHERE model = ?", (model,))
