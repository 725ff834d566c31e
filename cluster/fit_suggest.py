"""Which models a fleet could serve to so many people at once, and a set of them that fits together. Pure.

By memory alone: how fast a machine answers is measured, not predicted. The fleet is looked at as if nothing ran on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cluster.config import ClusterConfig
from cluster.desired import FORMATS_OF, WRITING_KINDS, WantedModel
from cluster.fit_fleet import USUAL, FitReport, FitRow, capacity_reports
from cluster.fit_fragment import Served, fragment_of
from cluster.placement import place
from cluster.placement_values import Candidate
from cluster.plan_holdings import as_known, planning_candidates
from cluster.snapshot import ClusterSnapshot
from inventory.catalog import HeldModel, ModelName
from inventory.known_models import known_model
from nodes.snapshot import NodeId


@dataclass(frozen=True, slots=True)
class Place:
    """One machine that could serve a model, and to how many at once at the most, alone there."""

    node: str
    engine: str
    quantisation: str
    users: int


@dataclass(frozen=True, slots=True)
class Option:
    """A model that the fleet could serve. `fits`: one machine carries all users. `beside`: others that fit with it."""

    model: str
    fits: bool
    users: int  # on all machines together
    places: tuple[Place, ...]
    beside: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`chosen` is the largest useful model for each machine, all together; `also` fits beside them; `fragment` is a
    cluster.yaml that asks for them."""

    context_tokens: int
    users: int
    options: tuple[Option, ...]
    chosen: tuple[Served, ...]
    also: tuple[str, ...]
    fragment: str


def suggest(context_tokens: int, users: int, config: ClusterConfig, snapshot: ClusterSnapshot | None) -> Suggestion:
    nodes = snapshot.nodes if snapshot is not None else ()
    held = [model for node in nodes if node.snapshot for model in node.snapshot.models]
    reports = [
        report
        for report in capacity_reports(context_tokens, users, config, snapshot)
        if _writes(report.query.model, held) and _reads(report.query.model, held, context_tokens)
    ]
    reports.sort(key=lambda report: (-max(row.verdict.need.of("weights") for row in report.rows), report.query.model))
    models = {report.query.model: _wanted(report.query.model, held, context_tokens, users) for report in reports}
    artifacts = [one for model in models.values() for one in _artifacts(model, held)]
    fleet = planning_candidates(config, nodes, artifacts)
    able = [report.query.model for report in reports if any(row.most_users >= users for row in report.rows)]
    chosen, also = _together([models[name] for name in able], fleet)
    options = tuple(_option(report, able, models, fleet) for report in reports)
    return Suggestion(
        context_tokens=context_tokens,
        users=users,
        options=tuple(option for option in options if option.users),
        chosen=chosen,
        also=also,
        fragment=fragment_of(chosen, context_tokens, users, config),
    )


def _writes(name: str, held: Sequence[HeldModel]) -> bool:
    """Whether it answers people, as far as is known: a model for vectors or for ranks does not."""
    found = [one.capabilities for one in held if one.ref.name == name]
    return not found or any({"chat", "completion"} & one for one in found)


def _reads(name: str, held: Sequence[HeldModel], context_tokens: int) -> bool:
    """Whether the model was made for so long a context, as far as is known."""
    known = known_model(name)
    limits = [one.context_length for one in held if one.ref.name == name] or [known.context if known else None]
    return all(limit is None or limit >= context_tokens for limit in limits)


def _wanted(name: str, held: Sequence[HeldModel], context_tokens: int, users: int) -> WantedModel:
    formats = {one.format for one in held if one.ref.name == name}
    kinds = [kind for kind in WRITING_KINDS if not formats or formats.intersection(FORMATS_OF[kind])]
    return WantedModel(
        name=ModelName(name),
        sources=tuple((kind, f"file:/models/{name}-{USUAL[kind]}") for kind in kinds),
        context_tokens=context_tokens,
        slots=users,
        on=(),
        replicas=1,
        options=(),
    )


def _artifacts(model: WantedModel, held: Sequence[HeldModel]) -> Sequence[HeldModel]:
    """Once of each format: whoever lacks one gets it copied."""
    mine = {one.format: one for one in held if one.ref.name == model.name}
    return tuple(mine.values()) or as_known(model)


def _together(models: Sequence[WantedModel], fleet: Sequence[Candidate]) -> tuple[tuple[Served, ...], tuple[str, ...]]:
    """The largest first, each on a machine that has none yet."""
    chosen: list[WantedModel] = []
    for model in models:
        taken = {node for one in chosen for node in one.on}
        free = tuple(sorted({one.node_id for one in fleet} - taken))
        if not free:
            break
        placement = place([*chosen, replace(model, on=free)], fleet, explain=False)
        if not placement.unplaced:
            home: NodeId = next(item.node_id for item in placement.assignments if item.spec.model.name == model.name)
            chosen.append(replace(model, on=(home,)))
    names = {model.name for model in chosen}
    others = [model for model in models if model.name not in names]
    also = [str(model.name) for model in others if not place([*chosen, model], fleet, explain=False).unplaced]
    placed = place(chosen, fleet).assignments
    served = [Served(str(item.spec.model.name), item.node_id, item.spec.kind, item.need_bytes) for item in placed]
    order = [model.name for model in chosen]
    return tuple(sorted(served, key=lambda one: order.index(ModelName(one.model)))), tuple(also)


def _option(
    report: FitReport, able: Sequence[str], models: Mapping[str, WantedModel], fleet: Sequence[Candidate]
) -> Option:
    name = report.query.model
    best: dict[NodeId, FitRow] = {}
    for row in sorted(report.rows, key=lambda row: -row.most_users):
        if row.most_users:
            best.setdefault(row.node, row)
    beside = [
        other
        for other in (able if name in able else ())
        if other != name and not place([models[name], models[other]], fleet, explain=False).unplaced
    ]
    places = tuple(Place(row.node, row.kind, row.quantisation, row.most_users) for row in best.values())
    return Option(name, name in able, sum(one.users for one in places), places, tuple(beside))
