"""The control loop: observe every node, decide what should run, order what is missing, publish what is known.

Level-triggered: each tick starts from what is observed, so a lost order or a reboot needs no special case. Between
ticks the controller keeps what it last saw of each node and its back-off, and nothing else.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

import structlog

from cluster import node_health, views
from cluster.backoff import Backoff
from cluster.desired import Desired, WantedNode
from cluster.link import LinkError, NodeLink
from cluster.node_health import Moment
from cluster.placement import Candidate, Placement, place
from cluster.publisher import Publisher
from cluster.reconcile import Action, DrainEngine, EnsureEngine, Goal, reconcile
from cluster.snapshot import SCHEMA_VERSION, ClusterSnapshot
from inventory.clock import Clock
from nodes.orders import Authority
from nodes.snapshot import NodeId, NodeSnapshot

log = structlog.get_logger("potluck.cluster.controller")


@dataclass(frozen=True, slots=True)
class ControllerTimes:
    tick_s: float = 1.0
    observe_timeout_s: float = 3.0
    order_timeout_s: float = 10.0
    lost_after_s: float = node_health.LOST_AFTER_S


class Controller:
    """One task runs `run`; others only hand it a `Desired`, which wakes it."""

    def __init__(
        self,
        links: Sequence[NodeLink],
        desired: Desired,
        epoch: int,
        publisher: Publisher,
        clock: Clock,
        times: ControllerTimes = ControllerTimes(),
    ) -> None:
        self._links = {link.node_id: link for link in links}
        self._desired = desired
        self._epoch = epoch
        self._publisher = publisher
        self._clock = clock
        self._times = times
        self._health = {node_id: node_health.joining(self._moment()) for node_id in self._links}
        self._backoff = Backoff()
        self._repeated: frozenset[Action] = frozenset()  # orders of the tick before: not worth a second log line
        self._wake = asyncio.Event()
        self._started_s = clock.wall_s()

    def set_desired(self, desired: Desired) -> None:
        """Acted on at once. The next tick forgives failures that happened under the configuration before it."""
        self._desired = desired
        self._backoff = Backoff()
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._wake.clear()
            await self.tick()
            try:
                async with asyncio.timeout(self._times.tick_s):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def tick(self) -> ClusterSnapshot:
        # One configuration for the whole tick, even if another arrives while it waits for a node.
        desired = self._desired
        async with asyncio.TaskGroup() as tasks:
            for link in self._links.values():
                tasks.create_task(self._observe(link))
        placement = place(desired.models, self._candidates(desired))
        authority = Authority(self._epoch, desired.revision)
        goal = Goal(placement, authority, desired.drain_s)
        actions = reconcile(goal, self._reachable(), self._clock.wall_s())
        await self._apply(actions)
        talked_about = {item.spec.engine_id for item in placement.assignments} | {item.engine_id for item in actions}
        self._backoff = self._backoff.only(talked_about)
        self._repeated = frozenset(actions)
        return self._publisher.publish_cluster(self._snapshot(desired, placement))

    async def _observe(self, link: NodeLink) -> None:
        before = self._health[link.node_id]
        try:
            async with asyncio.timeout(self._times.observe_timeout_s):
                after = node_health.observed(before, await _own_snapshot(link), self._moment())
        except TimeoutError:
            reason = f"no answer within {self._times.observe_timeout_s:g} s"
            after = node_health.failed(before, reason, self._moment(), self._times.lost_after_s)
        except LinkError as error:
            after = node_health.failed(before, error.reason, self._moment(), self._times.lost_after_s)
        self._health[link.node_id] = after
        if after.state != before.state:
            log.info("node_state", node=link.node_id, before=before.state, after=after.state, reason=after.reason)

    def _candidates(self, desired: Desired) -> list[Candidate]:
        """Every node that has reported, with the reason why it takes nothing where it does not."""
        found: list[Candidate] = []
        for node_id, health in self._health.items():
            if health.snapshot is None:
                continue
            wanted = desired.node(node_id)
            refusal = f"the machine is lost: {health.reason}" if health.state == "lost" else None
            if wanted is None:
                refusal = views.NOT_CONFIGURED
            found.append(Candidate(wanted or WantedNode(node_id, (), None), health.snapshot, refusal))
        return found

    def _reachable(self) -> list[NodeSnapshot]:
        """Nodes that answered in this tick: on the others nothing is known well enough to act on."""
        return [health.snapshot for health in self._health.values() if health.state == "ready" and health.snapshot]

    async def _apply(self, actions: Sequence[Action]) -> None:
        """Nodes at the same time, the orders of one node in sequence."""
        by_node: dict[NodeId, list[Action]] = {}
        for action in actions:
            if self._backoff.due(action.engine_id, self._clock.monotonic_s()):
                by_node.setdefault(action.node_id, []).append(action)
        async with asyncio.TaskGroup() as tasks:
            for node_id, todo in by_node.items():
                tasks.create_task(self._apply_in_sequence(node_id, todo))

    async def _apply_in_sequence(self, node_id: NodeId, actions: Sequence[Action]) -> None:
        for action in actions:
            order = type(action).__name__
            if action not in self._repeated:
                log.info("order", node=node_id, engine=action.engine_id, order=order, why=action.why)
            try:
                async with asyncio.timeout(self._times.order_timeout_s):
                    await _send(self._links[node_id], action)
            except (LinkError, TimeoutError) as error:
                reason = error.reason if isinstance(error, LinkError) else f"{order} was not answered in time"
                log.warning("order_failed", node=node_id, engine=action.engine_id, order=order, reason=reason)
                now_s = self._clock.monotonic_s()
                self._backoff = self._backoff.after_failure(action.engine_id, reason, now_s)
            else:
                self._backoff = self._backoff.after_success(action.engine_id)

    def _snapshot(self, desired: Desired, placement: Placement) -> ClusterSnapshot:
        linked = [
            views.node_view(node_id, health, self._links[node_id].kind, desired)
            for node_id, health in sorted(self._health.items())
        ]
        absent = views.absent_nodes(desired, tuple(self._links), self._started_s)
        return ClusterSnapshot(
            schema=SCHEMA_VERSION,
            cluster=desired.cluster,
            epoch=self._epoch,
            sequence=0,  # the publisher counts
            config_revision=desired.revision,
            taken_at_s=self._clock.wall_s(),
            nodes=(*linked, *absent),
            models=tuple(views.model_view(model, placement, self._health, self._backoff) for model in desired.models),
            aliases=desired.aliases,
        )

    def _moment(self) -> Moment:
        return Moment(self._clock.wall_s(), self._clock.monotonic_s())


async def _own_snapshot(link: NodeLink) -> NodeSnapshot:
    """What the node reports, if it is the node this link is meant to lead to."""
    snapshot = await link.observe()
    if snapshot.node_id != link.node_id:
        raise LinkError(link.node_id, f"the machine at the other end calls itself {snapshot.node_id}")
    return snapshot


def _send(link: NodeLink, action: Action) -> Awaitable[None]:
    if isinstance(action, EnsureEngine):
        return link.ensure_engine(action.spec, action.authority)
    if isinstance(action, DrainEngine):
        return link.drain_engine(action.engine_id, action.authority)
    return link.stop_engine(action.engine_id, action.authority)
