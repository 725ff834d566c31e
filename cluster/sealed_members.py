"""Sealed mode on every machine of the cluster: the head's own rules, and what each member is told."""

from collections.abc import Callable, Sequence
from http import HTTPStatus

import structlog

from cluster.controller import Controller
from cluster.join_records import Member
from inventory.clock import Clock
from inventory.paths import StatePaths
from nodes.api_wire import SealedOrder
from nodes.client import NodeClient, NodeError, NodeRefusedError
from nodes.sealing.place import rules_for, write_rules
from nodes.snapshot import NodeId

TELL_AGAIN_S = 10.0

log = structlog.get_logger("potluck.cluster.sealed")


class SealedMembers:
    """`networks` are those of cluster.yaml, and None where the head is not sealed: members are told that too."""

    def __init__(self, paths: StatePaths, head_host: str, networks: tuple[str, ...] | None, clock: Clock) -> None:
        self._paths, self._head_host, self._networks, self._clock = paths, head_host, networks, clock
        self._told: dict[NodeId, tuple[SealedOrder, float]] = {}  # and when, monotonic

    def admit(self, members: Sequence[Member]) -> None:
        """This machine may reach them from here on."""
        if self._networks is not None:
            write_rules(self._paths, rules_for(self._networks, tuple(member.host for member in members)))

    async def tell(
        self,
        member: Member,
        members: Sequence[Member],
        client: Callable[[Member], NodeClient],
        controller: Controller,
    ) -> None:
        """If it does not know yet, and again now and then, since it may have been started anew."""
        order, now_s = self._order(members), self._clock.monotonic_s()
        before, told_s = self._told.get(member.node_id, (None, 0.0))
        if before == order and now_s < told_s + TELL_AGAIN_S:
            return
        try:
            await client(member).sealed(order, controller.authority)
        except NodeRefusedError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                return
            if order.sealed and before != order:
                log.warning(
                    "node_cannot_be_sealed", node=member.node_id, reason="its potluck is older than sealed mode"
                )
        except NodeError:
            return
        self._told[member.node_id] = order, now_s

    def _order(self, members: Sequence[Member]) -> SealedOrder:
        if self._networks is None:
            return SealedOrder(False)
        return SealedOrder(True, self._networks, tuple(sorted({self._head_host, *(other.host for other in members)})))

    def forget(self, node_id: NodeId) -> None:
        self._told.pop(node_id, None)
