"""Where an operator's wishes about machines are taken: checked, written down, handed to the controller."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from cluster.controller import Controller
from cluster.doubts import EngineDoubt
from cluster.link import NodeLink
from cluster.wish_records import WishRecords
from cluster.wishes import Duty, NodeWish, labelled
from inventory.clock import Clock
from nodes.snapshot import EngineId, NodeId

log = structlog.get_logger("potluck.cluster.wishes")


class UnknownNodeError(Exception):
    """No machine of this name is linked to the head. The admin API answers 404."""

    def __init__(self, node_id: str) -> None:
        super().__init__(f"no machine called {node_id} has joined; `potluck nodes ls` shows who has")
        self.node_id = node_id


class WishDesk:
    """Implements cluster.admin_nodes.NodeControl. Makes the wishes of earlier heads hold again when it is made."""

    def __init__(self, records: WishRecords, controller: Controller, clock: Clock) -> None:
        self._records, self._controller, self._clock = records, controller, clock
        controller.set_wishes(records.all())

    def set_duty(self, node_id: NodeId, duty: Duty) -> NodeWish:
        self._link(node_id)
        wish = self._records.of(node_id)
        if wish.duty != duty:
            wish = self._keep(replace(wish, duty=duty, since_s=self._clock.wall_s()))
            log.info("node_duty", node=node_id, duty=duty)
        return wish

    def set_labels(self, node_id: NodeId, changes: Mapping[str, str | None]) -> NodeWish:
        self._link(node_id)
        wish = self._records.of(node_id)
        return self._keep(replace(wish, labels=labelled(wish.labels, changes)))

    async def tail(self, node_id: NodeId, engine_id: EngineId | None, lines: int) -> str:
        return await self._link(node_id).tail(engine_id, lines)

    def note_doubts(self, doubts: Sequence[EngineDoubt]) -> None:
        self._controller.note_doubts(doubts)

    def _keep(self, wish: NodeWish) -> NodeWish:
        self._records.put(wish)
        self._controller.set_wishes(self._records.all())
        return wish

    def _link(self, node_id: NodeId) -> NodeLink:
        link = self._controller.link_to(node_id)
        if link is None:
            raise UnknownNodeError(node_id)
        return link
