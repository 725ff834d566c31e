"""Orders on their way: one courier a node, so that a slow node holds up nobody's orders but its own."""

import asyncio
from collections.abc import Awaitable, Collection, Sequence

import structlog

from cluster.backoff import Backoff
from cluster.copies import CopyModel
from cluster.link import LinkError, NodeLink
from cluster.reconcile import Action, DrainEngine, EnsureEngine
from inventory.clock import Clock
from nodes.snapshot import EngineId, NodeId

log = structlog.get_logger("potluck.cluster.controller")


class Couriers:
    """Orders of one node go in sequence. While they are on their way the node gets no others: a tick decides anew."""

    def __init__(self, clock: Clock, timeout_s: float) -> None:
        self._clock, self._timeout_s = clock, timeout_s
        self._under_way: dict[NodeId, asyncio.Task[None]] = {}
        self._known: frozenset[Action] = frozenset()  # orders of the tick before: not worth a second log line
        self.backoff = Backoff()

    def send(self, link: NodeLink, actions: Sequence[Action]) -> None:
        """Those that are due, unless the node's courier is still out."""
        now_s = self._clock.monotonic_s()
        due = [action for action in actions if self.backoff.due(action.engine_id, now_s)]
        if not due or link.node_id in self._under_way:
            return
        for action in due:
            if action not in self._known:
                order = type(action).__name__
                log.info("order", node=link.node_id, engine=action.engine_id, order=order, why=action.why)
        courier = asyncio.create_task(self._deliver(link, due), name=f"orders {link.node_id}")
        self._under_way[link.node_id] = courier
        courier.add_done_callback(lambda _: self._under_way.pop(link.node_id, None))

    async def settle(self, patience_s: float) -> None:
        """Until every order is delivered, or patience ends: most are delivered within milliseconds."""
        if self._under_way:
            await asyncio.wait(tuple(self._under_way.values()), timeout=patience_s)

    def forgive(self) -> None:
        """Another configuration: failures that happened under the one before it count no more."""
        self.backoff = Backoff()

    def talked_about(self, actions: Sequence[Action], placed: Collection[EngineId]) -> None:
        """What this tick was about; setbacks of other engines are forgotten."""
        self.backoff = self.backoff.only({*placed, *(action.engine_id for action in actions)})
        self._known = frozenset(actions)

    def close(self) -> None:
        for courier in tuple(self._under_way.values()):
            courier.cancel()

    async def _deliver(self, link: NodeLink, actions: Sequence[Action]) -> None:
        for action in actions:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await _carry_out(link, action)
            except (LinkError, TimeoutError) as error:
                order = type(action).__name__
                reason = error.reason if isinstance(error, LinkError) else f"{order} was not answered in time"
                log.warning("order_failed", node=link.node_id, engine=action.engine_id, order=order, reason=reason)
                self.backoff = self.backoff.after_failure(action.engine_id, reason, self._clock.monotonic_s())
            else:
                self.backoff = self.backoff.after_success(action.engine_id)


def _carry_out(link: NodeLink, action: Action) -> Awaitable[None]:
    if isinstance(action, EnsureEngine):
        return link.ensure_engine(action.spec, action.authority)
    if isinstance(action, CopyModel):
        return link.pull(action.order, action.authority)
    if isinstance(action, DrainEngine):
        return link.drain_engine(action.engine_id, action.authority)
    return link.stop_engine(action.engine_id, action.authority)
