"""One link, observed in a loop of its own: what the node reported last, or why it does not. Nobody waits for it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from cluster import node_health
from cluster.link import LinkError, NodeLink
from cluster.node_health import Moment, NodeHealth, SilenceLimits
from inventory.clock import Clock
from nodes.snapshot import NodeId, NodeSnapshot

FIRST_S = 0.05

log = structlog.get_logger("potluck.cluster.controller")


@dataclass(frozen=True, slots=True)
class WatchTimes:
    every_s: float = 1.0
    timeout_s: float = 2.5  # an answer that takes longer says that the link is no good; the next try uses a fresh one
    limits: SilenceLimits = field(default_factory=SilenceLimits)


class NodeWatch:
    """Only its own loop and `judge` change the health. `changed` is called when others should look at once."""

    def __init__(self, link: NodeLink, clock: Clock, times: WatchTimes, changed: Callable[[], None]) -> None:
        self._link, self._clock, self._times, self._changed = link, clock, times, changed
        self._health = node_health.joining(self._now())
        self._heard = asyncio.Event()

    @property
    def link(self) -> NodeLink:
        return self._link

    @property
    def node_id(self) -> NodeId:
        return self._link.node_id

    @property
    def health(self) -> NodeHealth:
        return self._health

    def relink(self, link: NodeLink) -> None:
        """Another way to the same node: what is known of it stays."""
        self._link = link
        self._changed()

    def judge(self) -> NodeHealth:
        """Its health at this moment: silence counts, whether or not an observation is under way."""
        self._become(node_health.judged(self._health, self._now(), self._times.limits))
        return self._health

    def next_change_s(self) -> float | None:
        return node_health.next_change_s(self._health, self._times.limits)

    async def run(self) -> None:
        """Until cancelled. A look that took its time is followed by the next one at once; the first ones come quickly,
        as a daemon often starts together with the head."""
        loop, every_s = asyncio.get_running_loop(), min(FIRST_S, self._times.every_s)
        while True:
            started_s = loop.time()
            await self.look()
            every_s = self._times.every_s if self._heard.is_set() else min(self._times.every_s, 2 * every_s)
            await asyncio.sleep(max(0.0, started_s + every_s - loop.time()))

    async def look(self) -> None:
        """One observation."""
        link = self._link
        try:
            async with asyncio.timeout(self._times.timeout_s):
                snapshot = await _own_snapshot(link)
        except TimeoutError:
            self._fail(link, f"no answer within {self._times.timeout_s:g} s")
        except LinkError as error:
            self._fail(link, error.reason)
        else:
            if link is self._link:
                self._become(node_health.observed(self._health, snapshot, self._now()))
                self._heard.set()

    async def reported(self) -> None:
        """Until its first report."""
        await self._heard.wait()

    def _fail(self, link: NodeLink, reason: str) -> None:
        if link is self._link:  # what a link that was replaced meanwhile has to say is of no interest
            self._become(node_health.failed(self._health, reason, self._now(), self._times.limits))

    def _become(self, after: NodeHealth) -> None:
        before, self._health = self._health, after
        if after.state != before.state:
            log.info("node_state", node=self.node_id, before=before.state, after=after.state, reason=after.reason)
        if after.state != before.state or _told_at_once(after) != _told_at_once(before):
            self._changed()

    def _now(self) -> Moment:
        return Moment(self._clock.wall_s(), self._clock.monotonic_s())


async def _own_snapshot(link: NodeLink) -> NodeSnapshot:
    """What the node reports, if it is the node this link is meant to lead to."""
    snapshot = await link.observe()
    if snapshot.node_id != link.node_id:
        raise LinkError(link.node_id, f"the machine at the other end calls itself {snapshot.node_id}")
    return snapshot


def _told_at_once(health: NodeHealth) -> tuple[object, ...]:
    """What gateways should learn of without waiting for a tick."""
    snapshot = health.snapshot
    if snapshot is None:
        return ()
    level = snapshot.pressure.level if snapshot.pressure is not None else None
    return (level, *((engine.engine_id, engine.state, engine.generation) for engine in snapshot.engines))
