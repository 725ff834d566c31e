"""How long the controller waits before it repeats an order that failed: doubling, bounded, per engine."""

from collections.abc import Iterable
from dataclasses import dataclass

from nodes.snapshot import EngineId

FIRST_S = 1.0
LONGEST_S = 60.0


@dataclass(frozen=True, slots=True)
class Setback:
    """The last failure of an engine's order. `retry_at_s` is monotonic."""

    failures: int
    retry_at_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Backoff:
    setbacks: tuple[tuple[EngineId, Setback], ...] = ()

    def of(self, engine_id: EngineId) -> Setback | None:
        return dict(self.setbacks).get(engine_id)

    def due(self, engine_id: EngineId, now_s: float) -> bool:
        setback = self.of(engine_id)
        return setback is None or now_s >= setback.retry_at_s

    def after_failure(self, engine_id: EngineId, reason: str, now_s: float) -> "Backoff":
        previous = self.of(engine_id)
        failures = previous.failures + 1 if previous else 1
        wait_s = min(LONGEST_S, FIRST_S * 2 ** min(failures - 1, 10))
        return self._with(engine_id, Setback(failures, now_s + wait_s, reason))

    def after_success(self, engine_id: EngineId) -> "Backoff":
        return self._with(engine_id, None)

    def only(self, engine_ids: Iterable[EngineId]) -> "Backoff":
        """Forget engines that nobody talks about any more."""
        kept = set(engine_ids)
        return Backoff(tuple(item for item in self.setbacks if item[0] in kept))

    def _with(self, engine_id: EngineId, setback: Setback | None) -> "Backoff":
        others = tuple(item for item in self.setbacks if item[0] != engine_id)
        return Backoff((*others, (engine_id, setback)) if setback else others)
