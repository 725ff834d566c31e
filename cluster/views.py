"""The controller's knowledge as others see it: health, placement and setbacks in, NodeView and ModelView out."""

from collections.abc import Mapping, Sequence

from cluster.backoff import Backoff
from cluster.desired import Desired, WantedModel, WantedNode
from cluster.link import NodeLink
from cluster.node_health import NodeHealth, membership
from cluster.placement_values import Admission, Assignment, Placement
from cluster.residency_values import Outlook
from cluster.snapshot import ModelState, ModelView, NodeView
from cluster.wishes import NodeWish, labelled
from inventory.catalog import HeldModel
from nodes.snapshot import EngineSnapshot, EngineState, NodeId

NOT_CONFIGURED = "cluster.yaml lists nodes, and this one is not among them; add it under `nodes`"
NO_LINK = "not reached: this head has a link to its own machine only"
_WORST_FIRST: tuple[EngineState, ...] = ("quarantined", "backoff", "stopped", "stopping", "draining", "starting")


def node_view(link: NodeLink, health: NodeHealth, wish: NodeWish, desired: Desired) -> NodeView:
    member = membership(health, wish)
    state, reason = member.state, member.reason
    if state == "ready" and desired.node(link.node_id) is None:
        state, reason = "cordoned", NOT_CONFIGURED
    return NodeView(
        node_id=link.node_id,
        state=state,
        reason=reason,
        since_s=member.since_s,
        link=link.kind,
        snapshot=health.snapshot,
        duty=wish.duty,
        labels=labels_of(desired.node(link.node_id), wish),
        address=link.address,
        link_reason=link.reason,
        zone=zone_of(desired.node(link.node_id)),
    )


def zone_of(wanted: WantedNode | None) -> str:
    """A machine that cluster.yaml leaves out is in none."""
    return wanted.zone if wanted is not None else ""


def zones_for(model: WantedModel, nodes: Sequence[NodeView]) -> tuple[str, ...]:
    """Of the machines that may run it, by what cluster.yaml says of it and of them."""
    return tuple(sorted({node.zone for node in nodes if _may_run(model, node)}))


def _may_run(model: WantedModel, node: NodeView) -> bool:
    labels = dict(node.labels)
    return (not model.on or node.node_id in model.on) and all(
        labels.get(name) in values for name, values in model.where
    )


def admission(health: NodeHealth, wish: NodeWish, configured: bool) -> Admission:
    """What placement may count on. What is suspect keeps its engines: it may be back in a second."""
    if not configured:
        return Admission("shut", NOT_CONFIGURED)
    if health.state == "lost":
        return Admission("shut", f"the machine is lost: {health.reason}")
    if wish.duty == "drain":
        return Admission("leaving", f"the machine is being emptied; `potluck nodes uncordon {wish.node_id}` ends that")
    if wish.duty == "cordon":
        return Admission("kept", f"the machine is cordoned; `potluck nodes uncordon {wish.node_id}` ends that")
    if health.state == "suspect":
        return Admission("kept", f"the machine is suspect: {health.reason}")
    return Admission()


def labels_of(wanted: WantedNode | None, wish: NodeWish) -> tuple[tuple[str, str], ...]:
    """Of cluster.yaml, and what `nodes label` set over them."""
    return labelled(wanted.labels if wanted is not None else (), dict(wish.labels))


def absent_nodes(desired: Desired, linked: Sequence[NodeId], since_s: float) -> tuple[NodeView, ...]:
    """Configured nodes that no link leads to."""
    return tuple(
        NodeView(node.node_id, "joining", NO_LINK, since_s, "https", None, labels=node.labels, zone=node.zone)
        for node in desired.nodes
        if node.node_id not in linked
    )


def model_view(
    model: WantedModel,
    placement: Placement,
    health: Mapping[NodeId, NodeHealth],
    backoff: Backoff,
    outlook: Outlook,
) -> ModelView:
    assigned = [assignment for assignment in placement.assignments if assignment.spec.model.name == model.name]
    engines = _engines_of(model, placement, health)
    state, reason = _state(model, assigned, engines, placement, backoff)
    stance = outlook.stance
    if stance is not None and (stance.kind == "asleep" or (stance.kind == "yielding" and state == "ready")):
        state, reason = stance.kind, stance.why
    held = _held(model, assigned, health)
    return ModelView(
        name=model.name,
        ref=held.ref if held else None,
        state=state,
        reason=reason,
        created_s=held.created_s if held else 0,
        context_tokens=model.context_tokens,
        capabilities=held.capabilities if held else frozenset(),
        keep_alive_s=model.keep_alive_s,
        eta_s=None if state == "ready" else outlook.eta_s,
        note=_note(model, assigned, placement) if assigned else "",
        fallback=model.fallback,
        answers_kept_s=model.answers_kept_s,
    )


def _note(model: WantedModel, assigned: Sequence[Assignment], placement: Placement) -> str:
    """Why it has fewer replicas than it could have."""
    missing = next((one for one in (*placement.unplaced, *placement.below_most) if one.model == model.name), None)
    return f"{len(assigned)} of {model.most_replicas} replicas: {missing.reason}" if missing is not None else ""


def _state(
    model: WantedModel,
    assigned: Sequence[Assignment],
    engines: Sequence[EngineSnapshot],
    placement: Placement,
    backoff: Backoff,
) -> tuple[ModelState, str]:
    if any(engine.state == "ready" for engine in engines):
        return "ready", ""
    if not assigned:
        unplaced = next((unplaced for unplaced in placement.unplaced if unplaced.model == model.name), None)
        return "unplaced", unplaced.reason if unplaced else f"models.{model.name}.replicas is 0"
    for assignment in assigned:
        setback = backoff.of(assignment.spec.engine_id)
        if setback is not None:
            tries = f", tried {setback.failures} times" if setback.failures > 1 else ""
            return "failed", f"{assignment.node_id}: {setback.reason}{tries}; trying again"
    if not engines:
        return "starting", f"start ordered on {', '.join(sorted({item.node_id for item in assigned}))}"
    return _of_engines(engines)


def _of_engines(engines: Sequence[EngineSnapshot]) -> tuple[ModelState, str]:
    """No engine is ready: one that starts is hope; otherwise the worst one tells the story."""
    starting = next((engine for engine in engines if engine.state == "starting"), None)
    if starting is not None:
        return "starting", starting.reason
    worst = min(engines, key=lambda engine: _WORST_FIRST.index(engine.state))
    if worst.state == "quarantined":
        return "failed", f"{worst.reason}; its log in the state directory, under logs/, says more"
    return ("failed" if worst.state == "backoff" else "starting"), worst.reason


def _engines_of(model: WantedModel, placement: Placement, health: Mapping[NodeId, NodeHealth]) -> list[EngineSnapshot]:
    """Those placed for this model, where they are placed, and those that stand in for them."""
    placed = {item.spec.engine_id for item in placement.assignments if item.spec.model.name == model.name}
    return [
        engine
        for _, known in sorted(health.items())
        if known.snapshot
        for engine in known.snapshot.engines
        if engine.engine_id in placed or (engine.engine_id in placement.stand_ins and engine.model.name == model.name)
    ]


def _held(model: WantedModel, assigned: Sequence[Assignment], health: Mapping[NodeId, NodeHealth]) -> HeldModel | None:
    """The artifact that is served, or else the first one of that name that any node holds."""
    copies = [
        held
        for _, known in sorted(health.items())
        if known.snapshot
        for held in known.snapshot.models
        if held.ref.name == model.name
    ]
    served = {assignment.spec.model for assignment in assigned}
    return next((copy for copy in copies if copy.ref in served), copies[0] if copies else None)
