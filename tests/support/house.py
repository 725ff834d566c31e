"""Machine and gateways around the residency planner, second by second, for tests of who is awake when."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from cluster.demand import DemandBook, DemandReport, ModelDemand
from cluster.placement_values import Assignment, Placement
from cluster.residency import plan
from cluster.residency_values import Plan, Residency, Rules, Sleeper, Stance, Trial
from inventory.catalog import ModelName
from nodes.orders import EngineSpec
from nodes.snapshot import EngineId, NodeId
from support.cluster_facts import model_ref

RULES = Rules(dwell_s=30.0, notice_s=1.0)
LOAD_S = 5.0
KEEP_ALIVE_S = 120.0
Asked = Mapping[str, int]


def placing(sizes: Mapping[str, int], room: int, always: Iterable[str] = ()) -> Trial:
    """One machine: who is awake gets a place while there is room, those that always run last."""

    def trial(awake: frozenset[ModelName]) -> Placement:
        left, placed = room, []
        for name in (*sorted(awake), *sorted(always)):
            if sizes[name] <= left:
                left -= sizes[name]
                spec = EngineSpec(EngineId(f"{name}.box.1"), "llamacpp", model_ref(name), 512, 1)
                placed.append(Assignment(NodeId("box"), spec, sizes[name], ""))
        return Placement(tuple(placed), ())

    return trial


@dataclass
class House:
    """Plays gateways and machine: a model serves `LOAD_S` after it was let in, and requests run while it does."""

    sizes: dict[str, int]
    room: int = 10
    always: tuple[str, ...] = ()
    broken: set[str] = field(default_factory=set)
    runs_on: set[str] = field(default_factory=set)  # models whose running requests do not end
    shrunk: bool = False  # other programs took some of the room
    warm: set[str] = field(default_factory=set)
    background: set[str] = field(default_factory=set)  # models that a batch has lines for
    now_s: float = 1000.0
    residency: Residency = field(default_factory=Residency)
    history: list[tuple[float, frozenset[str]]] = field(default_factory=list)
    displaced: list[tuple[float, str]] = field(default_factory=list)  # who left to make room for another, and when
    book: DemandBook = field(default_factory=DemandBook)
    running: dict[str, int] = field(default_factory=dict)
    _waiting: dict[str, float] = field(default_factory=dict)  # since when

    def step(self, asked: Asked, seconds: float = 1.0) -> Plan:
        """So many requests of each model are there all the time."""
        self.now_s += seconds
        before = self.residency
        reports = [self._demand(name, asked.get(name, 0), before) for name in self._sleepers()]
        self.book.note(DemandReport("gateway", tuple(reports)), self.now_s)
        self.book.advance(self.now_s, RULES.window_s)
        sleepers = [self._sleeper(name, before) for name in self._sleepers()]
        decided = plan(sleepers, before, RULES, self.trial(), self.now_s)
        for gone in before.names - decided.residency.names:
            assert self.shrunk or not self.running.get(gone), f"{gone} left with requests running"
        self.residency = decided.residency
        self._note_displaced(before, decided.residency)
        self.history.append((self.now_s, frozenset(map(str, decided.residency.names))))
        return decided

    def steps(self, asked: Asked, seconds: int) -> Plan:
        return [self.step(asked) for _ in range(seconds)][-1]

    def trial(self) -> Trial:
        return placing(self.sizes, self.room, self.always)

    def awake(self) -> set[str]:
        return {str(one.name) for one in self.residency.residents}

    def swaps(self) -> list[float]:
        """When a model came and another went, at once."""
        return [at_s for (_, before), (at_s, after) in pairwise(self.history) if before - after and after - before]

    def _note_displaced(self, before: Residency, after: Residency) -> None:
        for one in before.residents:
            if one.room_for is not None and one.name not in after.names:
                self.displaced.append((self.now_s, str(one.name)))

    def _sleepers(self) -> list[str]:
        return [name for name in self.sizes if name not in self.always]

    def _serves(self, name: str, residency: Residency) -> bool:
        since = next((one.since_s for one in residency.residents if one.name == name), None)
        return since is not None and self.now_s - since >= LOAD_S and name not in self.broken

    def _demand(self, name: str, requests: int, residency: Residency) -> ModelDemand:
        stays = next((one for one in residency.residents if one.name == name and one.leaves_s is None), None)
        serves = self._serves(name, residency)
        if serves and stays:
            self.running[name] = requests
        elif not (serves and name in self.runs_on):
            self.running[name] = 0  # what had begun when it was told to leave has ended
        waiting = 0 if serves and stays else requests
        since_s = self._waiting.setdefault(name, self.now_s) if waiting else self._waiting.pop(name, self.now_s)
        waited_s, lines = waiting * (self.now_s - since_s), 100 if name in self.background else 0
        return ModelDemand(ModelName(name), waiting, self.running[name], waited_s, background=lines)

    def _sleeper(self, name: str, residency: Residency) -> Sleeper:
        model = ModelName(name)
        return Sleeper(
            name=model,
            keep_alive_s=KEEP_ALIVE_S,
            demand=self.book.of(model, self.now_s),
            work_s=self.book.work_s(model),
            used_s=self.book.used_s(model),
            serves=self._serves(name, residency),
            broken=name in self.broken and name in residency.names,
            load_s=LOAD_S,
            warm=name in self.warm,
        )


def stance(decided: Plan, name: str) -> Stance:
    return decided.stances[ModelName(name)]
