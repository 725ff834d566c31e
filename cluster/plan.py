"""What would change if a configuration were applied: memory of each machine, engines, artifacts. Pure: nothing changes.

It asks those who would decide, placement, the residency planner and the reconciler, so that the plan is what would be
done. A model that sleeps counts as awake where it runs, or where it is kept warm and has room.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from cluster.backoff import Backoff
from cluster.config import ClusterConfig
from cluster.copies import CopyModel, Shop, plan_copies
from cluster.demand import ModelDemand
from cluster.desired import Desired, WantedModel, desired_state
from cluster.load_times import LoadBook
from cluster.placement import place
from cluster.placement_values import Candidate, Placement, Unplaced
from cluster.plan_changes import Step, engine_changes, pool_changes
from cluster.plan_holdings import as_known, planning_candidates, with_known
from cluster.plan_values import Arrival, ConfigPlan, Shortage, Sleep
from cluster.residency import plan
from cluster.residency_values import Residency, Resident, Rules, Sleeper
from inventory.catalog import HeldModel, ModelName
from nodes.orders import Authority, PullOrder
from nodes.snapshot import NodeSnapshot


@dataclass(frozen=True, slots=True)
class Ground:
    """What a plan stands on: machines as the configuration in force sees them, and as the other one would."""

    desired: Desired | None  # in force; None where no head runs
    now: Sequence[Candidate]
    then: Sequence[Candidate]
    reachable: Sequence[NodeSnapshot]
    shop: Shop
    loads: LoadBook = field(default_factory=LoadBook)


def config_plan(desired: Desired, ground: Ground) -> ConfigPlan:
    before = _placement(ground.desired, ground.now)[0] if ground.desired is not None else Placement((), ())
    placement, stances = _placement(desired, ground.then)
    awake = _awake(desired, stances)
    copies = plan_copies(awake, ground.then, placement, ground.shop)
    copied = _copied(ground.then, copies.orders)
    placement = place(awake, copied)
    step = Step(desired, ground.then, ground.reachable, before, placement)
    return ConfigPlan(
        revision=ground.desired.revision if ground.desired is not None else None,
        pools=tuple(sorted(pool_changes(step), key=lambda one: (one.node, one.pools))),
        engines=tuple(sorted(engine_changes(step, ground.loads), key=lambda one: one.engine)),
        left_out=tuple(_shortages(awake, placement, placement.unplaced)),
        could_grow=tuple(_shortages(awake, placement, placement.below_most)),
        arrivals=(*_copies(copies.orders, ground.then), *_to_fetch(awake, placement, copied)),
        asleep=tuple(Sleep(name, why) for name, why in sorted(stances.items()) if why),
    )


def described_plan(config: ClusterConfig, held: Sequence[HeldModel] = ()) -> ConfigPlan:
    """For machines that are only described. `held` counts as if it were wherever it is wanted."""
    desired = desired_state(config, 0)
    candidates = with_known(planning_candidates(config, held=held), desired.models)
    shop = Shop({}, Authority(0, 0), Backoff())
    return config_plan(desired, Ground(None, (), candidates, [one.snapshot for one in candidates], shop))


def _placement(desired: Desired, candidates: Sequence[Candidate]) -> tuple[Placement, Mapping[ModelName, str]]:
    """Where all would run, and why each model that sleeps does; "" for one that is awake."""
    least = [replace(model, most_replicas=model.replicas) for model in desired.models]
    sleepers = {model.name: model for model in desired.models if model.keep_alive_s is not None}

    def trial(awake: frozenset[ModelName]) -> Placement:
        return place([one for one in least if one.name not in sleepers or one.name in awake], candidates, False)

    engines = [engine for one in candidates for engine in one.snapshot.engines if engine.state in ("starting", "ready")]
    running = {engine.model.name for engine in engines} & sleepers.keys()
    residency = Residency(tuple(Resident(name, 0.0) for name in sorted(running)))
    facts = [
        Sleeper(name, inf, ModelDemand(name), serves=name in running, warm=model.warm)
        for name, model in sleepers.items()
    ]
    decided = plan(facts, residency, Rules(desired.dwell_s), trial, 0.0)
    stays = {one.name for one in decided.residency.residents if one.leaves_s is None}
    # What could not run even alone is placed all the same: placement says why.
    hopeless = {name for name in sleepers if not _has(trial(frozenset({name})), name)}
    stances = {name: "" if name in stays | hopeless else decided.stances[name].why or "makes room" for name in sleepers}
    return place(_awake(desired, stances), candidates), stances


def _awake(desired: Desired, stances: Mapping[ModelName, str]) -> list[WantedModel]:
    return [model for model in desired.models if not stances.get(model.name)]


def _has(placement: Placement, name: ModelName) -> bool:
    return any(item.spec.model.name == name for item in placement.assignments)


def _shortages(models: Sequence[WantedModel], placement: Placement, missing: Iterable[Unplaced]) -> Iterator[Shortage]:
    wanted = {model.name: model for model in models}
    for one in missing:
        placed = sum(item.spec.model.name == one.model for item in placement.assignments)
        model = wanted[one.model]
        yield Shortage(one.model, placed, model.replicas, model.most_replicas, one.reason)


def _copied(candidates: Sequence[Candidate], orders: Sequence[CopyModel]) -> list[Candidate]:
    """Once all that is copied by itself has arrived."""
    found: list[Candidate] = []
    for one in candidates:
        brought = [_artifact(order.order, candidates) for order in orders if order.node_id == one.node_id]
        models = (*one.snapshot.models, *brought)
        found.append(replace(one, snapshot=replace(one.snapshot, models=models)))
    return found


def _artifact(order: PullOrder, candidates: Sequence[Candidate]) -> HeldModel:
    held = (model for one in candidates for model in one.snapshot.models)
    return next(model for model in held if model.ref.artifact_id == order.artifact_id)


def _copies(orders: Sequence[CopyModel], candidates: Sequence[Candidate]) -> Iterator[Arrival]:
    for one in orders:
        size = _artifact(one.order, candidates).size_bytes
        yield Arrival(one.order.name, one.node_id, size, one.order.holders[0].node, "")


def _to_fetch(
    models: Sequence[WantedModel], placement: Placement, candidates: Sequence[Candidate]
) -> Iterator[Arrival]:
    """What no machine holds and only its owner can bring: for where it would run, if its name tells its shape."""
    by_name = {model.name: model for model in models}
    known = {held.ref.artifact_id: held for model in models for held in as_known(model)}
    held = {one.ref.name for candidate in candidates for one in candidate.snapshot.models}
    missing = {model.name for model in models if model.replicas and model.name not in held}
    then = place(models, with_known(candidates, models)) if missing else placement
    for item in then.assignments:
        artifact = known.get(item.spec.model.artifact_id)
        if artifact is not None:
            source = by_name[artifact.ref.name].source_for(item.spec.kind)
            yield Arrival(artifact.ref.name, item.node_id, artifact.size_bytes, None, source)
    placed = {item.spec.model.name for item in then.assignments}
    for name in sorted(missing - placed - {one.ref.name for one in known.values()}):
        yield Arrival(name, "", None, None, by_name[name].source_for(by_name[name].kinds[0]))
