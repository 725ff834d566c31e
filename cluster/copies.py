"""Which artifacts should be copied from node to node: where a replica would run if only its machine held the model.

Found by placing a second time as if every machine held what any holds. All that placement asks of a machine (room,
engines, `on`, cordons) is thus asked here too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.backoff import Backoff
from cluster.desired import WantedModel
from cluster.placement import place
from cluster.placement_values import Assignment, Candidate, Placement, Unplaced
from inventory.catalog import ArtifactFormat, HeldModel, ModelName
from nodes.orders import ArtifactHolder, Authority, PullOrder
from nodes.snapshot import EngineId, NodeId, PullSnapshot


@dataclass(frozen=True, slots=True)
class CopyModel:
    """Have a node copy an artifact. One that has it, or copies it already, does nothing."""

    node_id: NodeId
    engine_id: EngineId  # which waits for it
    order: PullOrder
    authority: Authority
    why: str


@dataclass(frozen=True, slots=True)
class CopyPlan:
    orders: tuple[CopyModel, ...]
    placement: Placement  # as it was, but what has no place tells of the copy that it waits for


@dataclass(frozen=True, slots=True)
class Shop:
    """Who can hand out artifacts, and under whose authority copies are ordered."""

    givers: Mapping[NodeId, ArtifactHolder]
    authority: Authority
    backoff: Backoff


def plan_copies(
    models: Sequence[WantedModel], candidates: Sequence[Candidate], placement: Placement, shop: Shop
) -> CopyPlan:
    generous = [_as_if(candidate, candidates, shop) for candidate in candidates]
    if all(one is other for one, other in zip(generous, candidates, strict=True)):
        return CopyPlan((), placement)
    by_id = {candidate.node_id: candidate for candidate in candidates}
    orders: list[CopyModel] = []
    told: dict[ModelName, list[tuple[NodeId, str]]] = {}
    for assignment in _gained(models, placement, place(models, generous, explain=False)):
        borrower = by_id[assignment.node_id].snapshot
        order = _order_for(assignment, candidates, shop)
        if order is None or any(held.ref == assignment.spec.model for held in borrower.models):
            continue
        under_way = next((pull for pull in borrower.pulls if _is_for(pull, order)), None)
        if under_way is None or under_way.state == "failed":
            identity = assignment.spec.engine_id
            why = f"{order.holders[0].node} holds it"
            orders.append(CopyModel(assignment.node_id, identity, order, shop.authority, why))
        text = _tell(assignment, order, under_way, shop.backoff)
        told.setdefault(order.name, []).append((assignment.node_id, text))

    def explained(missing: Sequence[Unplaced]) -> tuple[Unplaced, ...]:
        return tuple(Unplaced(one.model, tuple(told[one.model])) if one.model in told else one for one in missing)

    unplaced, below_most = explained(placement.unplaced), explained(placement.below_most)
    return CopyPlan(tuple(orders), replace(placement, unplaced=unplaced, below_most=below_most))


def _as_if(candidate: Candidate, candidates: Sequence[Candidate], shop: Shop) -> Candidate:
    """With all that others could hand to it. What it holds under a name stays what that name means there."""
    known: dict[tuple[ModelName, ArtifactFormat], HeldModel] = {}
    own = {(held.ref.name, held.format) for held in candidate.snapshot.models}
    for other in sorted(candidates, key=lambda one: one.node_id):
        if other.node_id in shop.givers:
            for held in other.snapshot.models:
                known.setdefault((held.ref.name, held.format), held)
    lent = tuple(held for key, held in sorted(known.items()) if key not in own)
    if not lent:
        return candidate
    return replace(candidate, snapshot=replace(candidate.snapshot, models=(*candidate.snapshot.models, *lent)))


def _gained(models: Sequence[WantedModel], real: Placement, generous: Placement) -> list[Assignment]:
    """Only for models that would be on more machines: none is copied to serve merely elsewhere."""
    gained: list[Assignment] = []
    for model in models:
        now = {item.node_id for item in real.assignments if item.spec.model.name == model.name}
        then = [item for item in generous.assignments if item.spec.model.name == model.name]
        if len({item.node_id for item in then}) > len(now):
            gained += [item for item in then if item.node_id not in now]
    return gained


def _order_for(assignment: Assignment, candidates: Sequence[Candidate], shop: Shop) -> PullOrder | None:
    wanted = assignment.spec.model
    found = [
        (giver, held.format)
        for candidate in sorted(candidates, key=lambda one: one.node_id)
        if (giver := shop.givers.get(candidate.node_id)) is not None
        for held in candidate.snapshot.models
        if held.ref.artifact_id == wanted.artifact_id
    ]
    if not found:
        return None
    holders = tuple(dict.fromkeys(giver for giver, _ in found))
    return PullOrder(wanted.name, wanted.artifact_id, found[0][1], holders)


def _is_for(pull: PullSnapshot, order: PullOrder) -> bool:
    return (pull.name, pull.artifact_id) == (order.name, order.artifact_id)


def _tell(assignment: Assignment, order: PullOrder, pull: PullSnapshot | None, backoff: Backoff) -> str:
    setback = backoff.of(assignment.spec.engine_id)
    source = pull.holder if pull is not None and pull.holder is not None else order.holders[0].node
    way = f"from {source} to {assignment.node_id}"
    if pull is None:
        return f"to be copied {way}" + (f": {setback.reason}; trying again" if setback is not None else "")
    if pull.state == "failed":
        return f"not copied {way}: {pull.reason}; trying again"
    if pull.state == "waiting":
        return f"to be copied {way}, after another model"
    done = f", {100 * pull.done_bytes // pull.total_bytes} %" if pull.total_bytes else ""
    return f"{pull.state} {way}{done}" if pull.state == "copying" else f"checking what was copied {way}{done}"
