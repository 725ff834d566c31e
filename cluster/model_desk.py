"""Where an operator's wishes about models are taken: one that is unloaded stays away until it is loaded again."""

from collections.abc import Mapping

import structlog

from cluster.controller import Controller
from cluster.model_wishes import ModelWish, ModelWishRecords
from inventory.catalog import ModelName
from inventory.clock import Clock

log = structlog.get_logger("potluck.cluster.wishes")


class ModelNotConfiguredError(Exception):
    """cluster.yaml has no such model. The admin API answers 404."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        has = f"it has {', '.join(known)}" if known else "it has none"
        super().__init__(f"cluster.yaml has no model called {name}; {has}")
        self.name = name


class ModelDesk:
    """Implements cluster.admin_models.ModelControl. Makes the wishes of earlier heads hold again when it is made."""

    def __init__(self, records: ModelWishRecords, controller: Controller, clock: Clock) -> None:
        self._records, self._controller, self._clock = records, controller, clock
        self._hold()

    def load(self, name: str) -> ModelWish:
        """It runs as cluster.yaml says; one that sleeps while nobody asks is woken, as by a request that waits."""
        model = self._configured(name)
        self._records.forget(model)
        self._hold()
        self._controller.summon(model)
        log.info("model_load", model=name)
        return ModelWish(model, away=False, since_s=self._clock.wall_s())

    def unload(self, name: str) -> ModelWish:
        """Its engines finish what they have and leave. Nobody is served by it until it is loaded."""
        model = self._configured(name)
        known = self._away().get(model)
        if known is not None:
            return known
        wish = ModelWish(model, away=True, since_s=self._clock.wall_s())
        self._records.put(wish)
        self._hold()
        log.info("model_unload", model=name)
        return wish

    def _away(self) -> Mapping[ModelName, ModelWish]:
        return {wish.model: wish for wish in self._records.all()}

    def _hold(self) -> None:
        self._controller.set_away(self._away())

    def _configured(self, name: str) -> ModelName:
        models = self._controller.configured
        if name not in models:
            raise ModelNotConfiguredError(name, tuple(sorted(models)))
        return ModelName(name)
