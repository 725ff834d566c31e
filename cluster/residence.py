"""Who is awake: the controller's memory of demand and residency, asked once a tick before anything is placed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from cluster.arrivals import Arrivals, Start
from cluster.demand import DemandBook, DemandReport, Summons
from cluster.desired import Desired, WantedModel
from cluster.load_times import LoadBook, LoadKey
from cluster.placement import place
from cluster.placement_values import Assignment, Candidate, Placement
from cluster.residency import plan
from cluster.residency_values import Outlook, Residency, Resident, Rules, Sleeper, Stance
from cluster.snapshot import ModelView
from inventory.catalog import ModelName
from inventory.clock import Clock
from nodes.snapshot import EngineSnapshot, NodeId

log = structlog.get_logger("potluck.cluster.residence")

Engines = Mapping[ModelName, Sequence[tuple[NodeId, EngineSnapshot]]]


@dataclass(frozen=True, slots=True)
class Roster:
    """`models` is what should have engines. Those that sleep are not among them, and `stances` says why."""

    models: tuple[WantedModel, ...]
    stances: Mapping[ModelName, Stance]
    engines: Engines


class Residence:
    """Its owner calls `decide`, then `expect`, once a tick; anybody may note demand."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._book, self._summons = DemandBook(), Summons()
        self._arrivals = Arrivals(LoadBook())
        self._residency = Residency()
        self._known: set[ModelName] = set()  # sleepers that were resident under this head
        self._failed: frozenset[ModelName] = frozenset()

    def keep_loads(self, loads: LoadBook) -> None:
        """The load times of earlier heads, and where those to come are kept."""
        self._arrivals = Arrivals(loads)

    @property
    def loads(self) -> LoadBook:
        """How long models took to load."""
        return self._arrivals.loads

    def note_demand(self, report: DemandReport) -> None:
        self._book.note(report, self._clock.monotonic_s())

    def summon(self, model: ModelName) -> None:
        """Wake it, if it sleeps: an operator waits for it as a request would."""
        self._summons.add(model, self._clock.monotonic_s())

    def note_views(self, views: Iterable[ModelView]) -> None:
        """What was published: a model that failed holds no place against others."""
        self._failed = frozenset(view.name for view in views if view.state == "failed")

    def decide(self, desired: Desired, candidates: Sequence[Candidate]) -> Roster:
        now_s, wall_s = self._clock.monotonic_s(), self._clock.wall_s()
        engines = _engines(candidates)
        for running in engines.values():
            for node_id, engine in running:
                self._arrivals.loads.note(node_id, engine, wall_s)
        sleepers = {model.name: model for model in desired.models if model.keep_alive_s is not None}
        summoned = self._summons.report(sleepers, (name for name, on in engines.items() if _serves(on)), now_s)
        if summoned is not None:
            self._book.note(summoned, now_s)
        if not sleepers:
            self._residency, self._known = Residency(), set()
            return Roster(desired.models, {}, engines)
        rules = Rules(desired.dwell_s)
        self._book.advance(now_s, rules.window_s)
        self._book.keep(sleepers)
        self._adopt(sleepers, engines, now_s)
        # Replicas beyond what a model must have make room for whoever wakes: they count for nothing.
        least = [replace(model, most_replicas=model.replicas) for model in desired.models]

        def trial(awake: frozenset[ModelName]) -> Placement:
            return place([one for one in least if one.name not in sleepers or one.name in awake], candidates, False)

        alone = {name: _first_place(trial(frozenset({name})), name) for name in sleepers}
        facts = [self._sleeper(model, engines, alone[name], now_s) for name, model in sleepers.items()]
        decided = plan(facts, self._residency, rules, trial, now_s)
        self._tell(decided.residency, decided.stances)
        self._residency = decided.residency
        self._known |= decided.residency.names
        # What could not run even alone is placed all the same: placement says why, and copies may be on their way.
        placed = {name for name in sleepers if name in decided.residency.names or alone[name] is None}
        models = tuple(model for model in desired.models if model.name not in sleepers or model.name in placed)
        stances = {name: stance for name, stance in decided.stances.items() if alone[name] is not None}
        return Roster(models, {name: self._with_load(name, stance, alone) for name, stance in stances.items()}, engines)

    def expect(self, roster: Roster, placement: Placement) -> Mapping[ModelName, Outlook]:
        """With what was placed: when each model on its way will serve."""
        now_s = self._clock.monotonic_s()
        for name, running in roster.engines.items():
            ready = [engine for _, engine in running if engine.state == "ready"]
            if ready:
                self._arrivals.arrived(name, ready[0].ready_after_s, now_s)
        placed = {one.spec.engine_id for one in placement.assignments}
        crowded = {
            node_id
            for running in roster.engines.values()
            for node_id, engine in running
            if engine.engine_id not in placed and engine.state != "stopped"
        }
        starts: dict[ModelName, Start] = {}
        for model in roster.models:
            first = _first_place(placement, model.name)
            if first is not None and not _serves(roster.engines.get(model.name, ())):
                load_s = self._arrivals.loads.expected_s(_key(first))
                starts[model.name] = Start(now_s, first.node_id in crowded, load_s, model.name in self._failed)
        self._arrivals.follow(starts)
        return {
            name: Outlook(roster.stances.get(name), self._eta_s(name, roster, now_s))
            for name in {*roster.stances, *starts}
        }

    def _eta_s(self, name: ModelName, roster: Roster, now_s: float) -> float | None:
        stance = roster.stances.get(name)
        if stance is not None and stance.kind == "asleep":
            return stance.wait_s
        return self._arrivals.eta_s(name, now_s)

    def _with_load(self, name: ModelName, stance: Stance, alone: Mapping[ModelName, Assignment | None]) -> Stance:
        """How long one that waits for its turn will wait in all."""
        first = alone[name]
        if stance.kind != "asleep" or stance.wait_s is None or first is None:
            return stance
        load_s = self._arrivals.loads.expected_s(_key(first))
        return replace(
            stance,
            wait_s=None if load_s is None else stance.wait_s + self._arrivals.takes_s(load_s, made_room=True),
        )

    def _adopt(self, sleepers: Mapping[ModelName, WantedModel], engines: Engines, now_s: float) -> None:
        """What ran before this head did, or before its model was told to sleep, is awake until it has been idle."""
        self._known &= sleepers.keys()
        running = {
            name
            for name in sleepers
            for _, engine in engines.get(name, ())
            if engine.state in ("starting", "ready") and name not in self._known
        }
        found = tuple(Resident(name, now_s) for name in sorted(running))
        self._residency = replace(self._residency, residents=(*self._residency.residents, *found))

    def _sleeper(self, model: WantedModel, engines: Engines, alone: Assignment | None, now_s: float) -> Sleeper:
        assert model.keep_alive_s is not None
        return Sleeper(
            name=model.name,
            keep_alive_s=model.keep_alive_s,
            demand=self._book.of(model.name, now_s),
            work_s=self._book.work_s(model.name),
            used_s=self._book.used_s(model.name),
            serves=_serves(engines.get(model.name, ())),
            broken=model.name in self._failed,
            load_s=self._arrivals.loads.expected_s(_key(alone)) if alone is not None else None,
            warm=model.warm,
        )

    def _tell(self, after: Residency, stances: Mapping[ModelName, Stance]) -> None:
        before = {one.name: one for one in self._residency.residents}
        for one in after.residents:
            earlier = before.get(one.name)
            if earlier is None:
                log.info("model_wakes", model=one.name)
            elif earlier.leaves_s is None and one.leaves_s is not None:
                log.info("model_yields", model=one.name, why=stances[one.name].why)
        for name in before.keys() - after.names:
            log.info("model_sleeps", model=name)


def _engines(candidates: Sequence[Candidate]) -> Engines:
    """By model, on machines that count."""
    found: dict[ModelName, list[tuple[NodeId, EngineSnapshot]]] = {}
    for candidate in candidates:
        if candidate.admission.kind != "shut":
            for engine in candidate.snapshot.engines:
                found.setdefault(engine.model.name, []).append((candidate.node_id, engine))
    return found


def _serves(engines: Sequence[tuple[NodeId, EngineSnapshot]]) -> bool:
    return any(engine.state == "ready" for _, engine in engines)


def _first_place(placement: Placement, name: ModelName) -> Assignment | None:
    return next((one for one in placement.assignments if one.spec.model.name == name), None)


def _key(assignment: Assignment) -> LoadKey:
    return LoadKey(assignment.node_id, assignment.spec.model.artifact_id, assignment.spec.kind)
