"""What gateways say of the models that sleep while nobody asks: how many requests wait, run, and have ended.

A report holds for a few seconds, so that a gateway which is gone asks for nothing. Every time is an argument.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp

from inventory.catalog import ModelName

HOLDS_S = 4.0  # a gateway repeats its report every second while there is anything to say


@dataclass(frozen=True, slots=True)
class ModelDemand:
    """One model's requests at one gateway, or at all of them."""

    model: ModelName
    waiting: int = 0  # for the model itself, which sleeps, starts or makes room
    running: int = 0  # on its engines
    waited_s: float = 0.0  # by those that wait, together
    ended: int = 0  # since the gateway's report before this one
    background: int = 0  # lines of batches, which take nobody's room: for them it wakes where room is left

    @property
    def wanted(self) -> bool:
        return self.waiting > 0 or self.running > 0


@dataclass(frozen=True, slots=True)
class DemandReport:
    """All that one gateway process has to say: a model that it leaves out is not asked for there."""

    gateway: str
    models: tuple[ModelDemand, ...]


OPERATOR = "operator"  # no gateway: who wants a model loaded waits for it as a request would
PATIENCE_S = 600.0


class Summons:
    """Models that an operator wants awake: each is asked for until it serves, or for as long as patience lasts."""

    def __init__(self) -> None:
        self._since_s: dict[ModelName, float] = {}

    def add(self, model: ModelName, now_s: float) -> None:
        self._since_s.setdefault(model, now_s)

    def report(self, sleepers: Iterable[ModelName], serving: Iterable[ModelName], now_s: float) -> DemandReport | None:
        """What to note at this moment; None where nobody wants anything, as before."""
        if not self._since_s:
            return None
        wanted = frozenset(sleepers) - frozenset(serving)
        self._since_s = {
            model: since_s
            for model, since_s in self._since_s.items()
            if model in wanted and now_s - since_s < PATIENCE_S
        }
        waiting = [ModelDemand(model, 1, waited_s=now_s - since_s) for model, since_s in self._since_s.items()]
        return DemandReport(OPERATOR, tuple(waiting))


class DemandBook:
    """The last report of each gateway, and what they add up to."""

    def __init__(self) -> None:
        self._reports: dict[str, tuple[Mapping[ModelName, ModelDemand], float]] = {}  # with when it came
        self._used_s: dict[ModelName, float] = {}
        self._work_s: dict[ModelName, float] = {}
        self._worked_s: float | None = None  # `_work_s` is right for this moment

    def note(self, report: DemandReport, now_s: float) -> None:
        for demand in report.models:
            if demand.wanted or demand.ended:
                self._used_s[demand.model] = now_s
        self._reports[report.gateway] = ({demand.model: demand for demand in report.models}, now_s)

    def advance(self, now_s: float, window_s: float) -> None:
        """Count the work done since the call before; work of longer ago than the window fades."""
        passed_s = 0.0 if self._worked_s is None else max(0.0, now_s - self._worked_s)
        self._worked_s = now_s
        self._reports = {key: (said, at_s) for key, (said, at_s) in self._reports.items() if now_s - at_s < HOLDS_S}
        faded = exp(-passed_s / window_s)
        names = {name for said, _ in self._reports.values() for name in said} | self._work_s.keys()
        work = {name: self._work_s.get(name, 0.0) * faded + self.of(name, now_s).running * passed_s for name in names}
        self._work_s = {name: seconds for name, seconds in work.items() if seconds > 0.01}

    def of(self, model: ModelName, now_s: float) -> ModelDemand:
        """What all gateways have of it. Those that wait have waited for longer than when it was reported."""
        waiting = running = background = 0
        waited_s = 0.0
        for said, at_s in self._reports.values():
            demand = said.get(model)
            if demand is not None:
                waiting, running = waiting + demand.waiting, running + demand.running
                background += demand.background
                waited_s += demand.waited_s + demand.waiting * (now_s - at_s)
        return ModelDemand(model, waiting, running, waited_s, background=background)

    def work_s(self, model: ModelName) -> float:
        """Seconds that its requests spent on engines in the recent past, together."""
        return self._work_s.get(model, 0.0)

    def used_s(self, model: ModelName) -> float | None:
        """When it was last asked for, as far as any gateway has said."""
        return self._used_s.get(model)

    def keep(self, models: Iterable[ModelName]) -> None:
        """Forget all others."""
        kept = frozenset(models)
        self._used_s = {model: at_s for model, at_s in self._used_s.items() if model in kept}
        self._work_s = {model: seconds for model, seconds in self._work_s.items() if model in kept}
