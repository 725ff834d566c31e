"""Which engines should exist and where, and why: wanted models and node reports in, a Placement out.

Each replica gets an engine kind and the artifact that this kind reads; a model may run as vLLM here and as llama.cpp
there. Sticky: an engine that runs where it may run stays there, as the kind it is. Everything must fit, with every byte
that cluster.fit predicts, in the pools that its engine kind uses.

Every model gets the least that it must have before any gets more. What runs beyond that keeps its place unless a least
has no other; then what room is left goes to whoever has the smallest part of its most, one replica at a time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

from cluster.desired import WantedModel, engine_id
from cluster.placement_draft import Draft, Obstacles, Rank, assign, number, rank
from cluster.placement_values import Assignment, Candidate, Placement, Unplaced
from cluster.placement_ways import ABSENT, SERVES, Obstacle, Prospects, next_id, standing
from inventory.catalog import ModelName
from nodes.snapshot import EngineId, NodeId

Nodes = Sequence[Candidate]
Telling = Literal["why", "brief", ""]


def place(models: Sequence[WantedModel], candidates: Sequence[Candidate], explain: bool = True) -> Placement:
    """Replicas that run already choose first, so that a newcomer never pushes one out of its memory; among them those
    of models that always run, for when there is less room than there was. To `explain` takes longer than to place:
    whoever only asks what fits does without."""
    nodes = sorted(candidates, key=lambda candidate: candidate.node_id)
    ordered = sorted(models, key=lambda model: (not _running(model, nodes), model.keep_alive_s is not None, model.name))
    draft = _grown(_within_most(_least(ordered, nodes), ordered), ordered, nodes)
    placement = draft.placement
    return Placement(
        tuple(sorted(placement.assignments, key=lambda assignment: assignment.spec.engine_id)),
        tuple(_told(draft.left_out, "why" if explain else "")),
        frozenset(identity for model in models for identity in _stand_ins(placement, model, nodes)),
        tuple(_told(_below_most(draft, ordered, nodes), "brief" if explain else "")),
    )


def _told(missing: Sequence[tuple[WantedModel, Obstacles]], how: Telling) -> Iterator[Unplaced]:
    for model, obstacles in sorted(missing, key=lambda one: one[0].name):
        yield Unplaced(model.name, _worth_telling(model, obstacles, how) if how else ())


def _least(models: Sequence[WantedModel], nodes: Nodes) -> Draft:
    """Beside what runs beyond it, unless that would leave somebody out. Knows nothing of anybody's most, so that to ask
    for more of one model never costs another what it must have."""
    running = Draft(Prospects())
    for model in models:
        running = _with_least(running, model, nodes, only_running=True)
    alone, beside = running, _with_extras(running, models, nodes)
    for model in models:
        alone = _with_least(alone, model, nodes)
    if not beside.extra:
        return alone
    for model in models:
        beside = _with_least(beside, model, nodes)
    worse = any(beside.least_of(model.name) < alone.least_of(model.name) for model in models)
    return _with_extras(alone, models, nodes) if worse else beside


def _with_least(draft: Draft, model: WantedModel, nodes: Nodes, only_running: bool = False) -> Draft:
    while draft.least_of(model.name) < model.replicas:
        options, obstacles = _options(draft, model, nodes)
        best = min(options, default=None, key=lambda option: option[0])
        if only_running:
            if best is None or best[0][1] == ABSENT:
                return draft
        elif best is None:
            roomier = _with_room_made(draft, model, nodes)
            if roomier is None:
                return replace(draft, left_out=(*draft.left_out, (model, obstacles)))
            draft = roomier
            continue
        assert best is not None
        draft = draft.counted(best[1]) if best[1].spec.engine_id in draft.extra else draft.plus(best[1])
    return draft


def _options(draft: Draft, model: WantedModel, nodes: Nodes) -> tuple[list[tuple[Rank, Assignment]], Obstacles]:
    """Where one more could count towards the least: an extra one that is there already, or one that would start."""
    options: list[tuple[Rank, Assignment]] = []
    obstacles: list[tuple[NodeId, Obstacle]] = []
    for node in nodes:
        mine = [item for item in draft.extras_of(model.name) if item.node_id == node.node_id]
        first = min(mine, default=None, key=lambda item: number(item.spec.engine_id))
        way = draft.way_on(model, node) if first is None else None
        if isinstance(way, Obstacle):
            obstacles.append((node.node_id, way))
            continue
        item = first if way is None else assign(model, node, way, draft.placement)
        assert item is not None
        options.append((rank(model, node, item, draft.placement), item))
    return options, tuple(obstacles)


def _with_room_made(draft: Draft, model: WantedModel, nodes: Nodes) -> Draft | None:
    """With a place for one more where the fewest others go: extra ones, or others that an extra one can stand for."""
    found: list[tuple[int, Rank, Draft]] = []
    for node in nodes:
        cleared, gone = draft, 0
        while isinstance(way := cleared.way_on(model, node), Obstacle):
            spared = _without_one(cleared, model, node.node_id)
            if spared is None:
                break
            cleared, gone = spared, gone + 1
        else:
            item = assign(model, node, way, cleared.placement)
            found.append((gone, rank(model, node, item, cleared.placement), cleared.plus(item)))
    return min(found, default=(0, None, None), key=lambda one: one[:2])[2]


def _without_one(draft: Draft, model: WantedModel, node_id: NodeId) -> Draft | None:
    """The largest that can be spared on a node goes, if there is one."""
    last: dict[ModelName, Assignment] = {}
    for item in draft.placement.on(node_id):
        known = last.get(item.spec.model.name)
        if known is None or number(item.spec.engine_id) > number(known.spec.engine_id):
            last[item.spec.model.name] = item
    spare = [item for name, item in last.items() if name != model.name and draft.extras_of(name)]
    if not spare:
        return None
    goes = max(spare, key=lambda item: (item.need_bytes, item.spec.engine_id))
    if goes.spec.engine_id in draft.extra:
        return draft.minus(goes)
    stands = min(draft.extras_of(goes.spec.model.name), key=lambda item: number(item.spec.engine_id))
    return draft.counted(stands).minus(goes)


def _with_extras(draft: Draft, models: Sequence[WantedModel], nodes: Nodes) -> Draft:
    """With all that runs beside it, however many are wanted."""
    for model in models:
        for node in nodes:
            while standing(next_id(model, node, draft.placement), node) != ABSENT:
                way = draft.way_on(model, node)
                if isinstance(way, Obstacle):
                    break
                draft = draft.plus(assign(model, node, way, draft.placement), extra=True)
    return draft


def _within_most(draft: Draft, models: Sequence[WantedModel]) -> Draft:
    """Without those that nobody wants, where replicas are stacked first."""
    for model in models:
        extras = sorted(draft.extras_of(model.name), key=lambda item: (number(item.spec.engine_id), item.node_id))
        while extras and len(draft.of(model.name)) > model.most_replicas:
            draft = draft.minus(extras.pop())
    return draft


def _grown(draft: Draft, models: Sequence[WantedModel], nodes: Nodes) -> Draft:
    """With one replica more at a time, as long as there is room."""
    growing = [model for model in models if draft.least_of(model.name) >= model.replicas]
    while True:
        growing = [model for model in growing if len(draft.of(model.name)) < model.most_replicas]
        if not growing:
            return draft
        model = min(growing, key=lambda model: (len(draft.of(model.name)) / model.most_replicas, model.name))
        ways = [(node, way) for node in nodes if not isinstance(way := draft.way_on(model, node), Obstacle)]
        items = [assign(model, node, way, draft.placement) for node, way in ways]
        ranked = [(rank(model, node, item, draft.placement), item) for (node, _), item in zip(ways, items, strict=True)]
        if ranked:
            draft = draft.plus(min(ranked, key=lambda one: one[0])[1])
        else:  # what has no room for one more will not have it after others have grown
            growing.remove(model)


def _below_most(draft: Draft, models: Sequence[WantedModel], nodes: Nodes) -> list[tuple[WantedModel, Obstacles]]:
    left_out = {model.name for model, _ in draft.left_out}
    found: list[tuple[WantedModel, Obstacles]] = []
    for model in models:
        if model.name not in left_out and len(draft.of(model.name)) < model.most_replicas:
            ways = [(node.node_id, draft.way_on(model, node)) for node in nodes]
            found.append((model, tuple((node_id, way) for node_id, way in ways if isinstance(way, Obstacle))))
    return found


def _stand_ins(placement: Placement, model: WantedModel, nodes: Nodes) -> list[EngineId]:
    """One engine on a node that is emptied for each replica elsewhere that does not serve yet."""
    by_id = {node.node_id: node for node in nodes}
    mine = [assignment for assignment in placement.assignments if assignment.spec.model.name == model.name]
    pending = sum(standing(item.spec.engine_id, by_id[item.node_id]) != SERVES for item in mine)
    serving = [
        identity
        for node in nodes
        if node.admission.kind == "leaving"
        for identity in sorted(_engine_ids(model, node))
        if standing(identity, node) == SERVES
    ]
    return serving[:pending]


def _engine_ids(model: WantedModel, node: Candidate) -> frozenset[EngineId]:
    """Every id that a replica of this model could have on this node."""
    return frozenset(engine_id(model.name, node.node_id, number) for number in range(1, model.most_replicas + 1))


def _worth_telling(model: WantedModel, obstacles: Obstacles, how: Telling) -> tuple[tuple[NodeId, str], ...]:
    """With `on`, only what stands in the way on the nodes it lists, also on those that never reported."""
    told = {
        node_id: obstacle.why if how == "why" else obstacle.brief
        for node_id, obstacle in obstacles
        if not model.on or node_id in model.on
    }
    if not model.on:
        return tuple(told.items())
    return tuple((node_id, told.get(node_id, f"node {node_id} has not joined yet")) for node_id in model.on)


def _running(model: WantedModel, nodes: Nodes) -> bool:
    """Whatever the numbers of its engines: who chooses first must not depend on how many of them are wanted."""
    return any(
        engine.engine_id == engine_id(model.name, node.node_id, number(engine.engine_id)) and engine.state != "stopped"
        for node in nodes
        for engine in node.snapshot.engines
    )
