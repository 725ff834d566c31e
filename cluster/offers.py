"""What members can copy from each other when one asks for a model by its name or by where it came from."""

from collections.abc import Mapping, Sequence

from inventory.catalog import HeldModel
from nodes.join_wire import OffersBody
from nodes.orders import ArtifactHolder, PullOrder
from nodes.snapshot import NodeId, NodeSnapshot


def offers_for(
    asked: OffersBody, snapshots: Sequence[NodeSnapshot], givers: Mapping[NodeId, ArtifactHolder], asker: NodeId
) -> tuple[PullOrder, ...]:
    """An order for each artifact that fits, with everybody who can give it. The asker is not asked to give."""
    found: dict[str, PullOrder] = {}
    for snapshot in sorted(snapshots, key=lambda one: one.node_id):
        giver = givers.get(snapshot.node_id)
        if giver is None or snapshot.node_id == asker:
            continue
        for held in snapshot.models:
            if _fits(held, asked):
                ref = held.ref
                order = found.get(ref.artifact_id) or PullOrder(ref.name, ref.artifact_id, held.format, ())
                found[ref.artifact_id] = PullOrder(order.name, order.artifact_id, order.format, (*order.holders, giver))
    return tuple(found.values())


def _fits(held: HeldModel, asked: OffersBody) -> bool:
    wanted = held.source == asked.source if asked.source else held.ref.name == asked.name
    return wanted and (not asked.formats or held.format in asked.formats)
