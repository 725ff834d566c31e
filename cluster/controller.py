"""The control loop: judge every node, decide what should run, order what is missing, publish what is known.

Level-triggered: each tick starts from what was observed, so a lost order or a reboot needs no special case. A tick
waits for no node: each is observed in a loop of its own (cluster.node_watch) and gets its orders by its own courier.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog

from cluster import views
from cluster.copies import Shop, plan_copies
from cluster.couriers import Couriers
from cluster.demand import DemandReport
from cluster.desired import Desired, WantedNode
from cluster.doubts import EngineDoubt
from cluster.ledger_book import LedgerBook
from cluster.link import NodeLink
from cluster.load_times import LoadBook
from cluster.model_wishes import ModelWish
from cluster.node_watch import NodeWatch, WatchTimes
from cluster.placement import place
from cluster.placement_values import Candidate, Placement, Unplaced
from cluster.plan import Ground, config_plan
from cluster.plan_values import ConfigPlan
from cluster.publisher import Publisher
from cluster.reconcile import Action, Goal, reconcile
from cluster.residence import Residence
from cluster.residency_values import Outlook
from cluster.snapshot import SCHEMA_VERSION, ClusterSnapshot, NodeAddress
from cluster.wishes import NodeWish
from inventory.catalog import ModelName
from inventory.clock import Clock
from nodes.orders import ArtifactHolder, Authority
from nodes.snapshot import EngineId, NodeId, NodeSnapshot

log = structlog.get_logger("potluck.cluster.controller")


@dataclass(frozen=True, slots=True)
class ControllerTimes:
    tick_s: float = 1.0
    watch: WatchTimes = field(default_factory=WatchTimes)
    order_timeout_s: float = 10.0
    order_patience_s: float = 0.25  # a tick waits so long for its orders, then publishes
    doubt_s: float = 6.0  # a gateway's doubt holds so long; it repeats it every 2 s
    settle_s: float = 3.0  # a head that starts publishes nothing before each node reported, or so long has passed


class Controller:
    """One task runs `run`; others hand it a `Desired`, wishes and links, each of which wakes it."""

    def __init__(
        self,
        links: Sequence[NodeLink],
        desired: Desired,
        epoch: int,
        publisher: Publisher,
        clock: Clock,
        times: ControllerTimes = ControllerTimes(),
    ) -> None:
        self._desired, self._epoch, self._publisher = desired, epoch, publisher
        self._clock, self._times = clock, times
        self._wishes: dict[NodeId, NodeWish] = {}
        self._away: Mapping[ModelName, ModelWish] = {}
        self._doubts: dict[EngineId, tuple[EngineDoubt, float]] = {}  # with the time until which each holds
        self._own_door: NodeAddress | None = None
        self._couriers = Couriers(clock, times.order_timeout_s)
        self._residence = Residence(clock)
        self._ledger = LedgerBook()
        self._wake = asyncio.Event()
        self._started_s = clock.wall_s()
        self._tasks: asyncio.TaskGroup | None = None  # while `run` does
        self._loops: dict[NodeId, asyncio.Task[None]] = {}
        self._watches: dict[NodeId, NodeWatch] = {}
        for link in links:
            self.add_link(link)

    def set_desired(self, desired: Desired) -> None:
        """Acted on at once. The next tick forgives failures that happened under the configuration before it."""
        self._desired = desired
        self._couriers.forgive()
        self._wake.set()

    def set_wishes(self, wishes: Iterable[NodeWish]) -> None:
        """All that the operator wants of machines as such. A node without a wish serves."""
        self._wishes = {wish.node_id: wish for wish in wishes}
        self._wake.set()

    @property
    def configured(self) -> frozenset[ModelName]:
        """The models of cluster.yaml."""
        return frozenset(model.name for model in self._desired.models)

    def set_away(self, away: Mapping[ModelName, ModelWish]) -> None:
        """All models that the operator has unloaded: they have no engines, whatever cluster.yaml says."""
        self._away = away
        self._wake.set()

    def summon(self, model: ModelName) -> None:
        """Wake a model that sleeps while nobody asks, as a request that waits for it would."""
        self._residence.summon(model)
        self._wake.set()

    def note_doubts(self, doubts: Sequence[EngineDoubt]) -> None:
        """What a gateway found out about engines. It has to be said again to hold for longer than a few seconds."""
        until_s = self._clock.monotonic_s() + self._times.doubt_s
        self._doubts.update({doubt.engine_id: (doubt, until_s) for doubt in doubts})
        self._wake.set()

    def note_demand(self, report: DemandReport) -> None:
        """What a gateway has of models that sleep while nobody asks. It holds for a few seconds."""
        self._residence.note_demand(report)
        self._wake.set()

    def keep_loads(self, loads: LoadBook) -> None:
        """How long models took to load under earlier heads, and where that is written down from now on."""
        self._residence.keep_loads(loads)

    def keep_ledger(self, ledger: LedgerBook) -> None:
        """What engines took under earlier heads, and where that is written down from now on."""
        self._ledger = ledger

    def set_own_door(self, door: NodeAddress) -> None:
        """Where members copy artifacts of the head's own machine."""
        self._own_door = door
        self._wake.set()

    @property
    def authority(self) -> Authority:
        """In whose name orders are given now."""
        return Authority(self._epoch, self._desired.revision)

    def add_link(self, link: NodeLink) -> None:
        """A way to a node. One that is known by another way stays known."""
        known = self._watches.get(link.node_id)
        if known is not None:
            known.relink(link)
            return
        self._watches[link.node_id] = NodeWatch(link, self._clock, self._times.watch, self._wake.set)
        self._observe(link.node_id)
        self._wake.set()

    def remove_link(self, node_id: NodeId) -> None:
        """Forget a node. What runs on it is nobody's business any more."""
        self._watches.pop(node_id, None)
        self._wishes.pop(node_id, None)
        loop = self._loops.pop(node_id, None)
        if loop is not None:
            loop.cancel()
        self._wake.set()

    def link_to(self, node_id: NodeId) -> NodeLink | None:
        watch = self._watches.get(node_id)
        return watch.link if watch is not None else None

    def reachable(self) -> list[NodeSnapshot]:
        """Nodes that answered last: on the others nothing is known well enough to act on."""
        healths = [watch.health for watch in self._watches.values()]
        return [health.snapshot for health in healths if health.state == "ready" and health.snapshot]

    def givers(self) -> dict[NodeId, ArtifactHolder]:
        """Nodes that others can copy artifacts from."""
        givers: dict[NodeId, ArtifactHolder] = {}
        for node_id, watch in self._watches.items():
            is_head = watch.link.kind == "local"
            address = self._own_door if is_head else watch.link.address
            if address is not None and watch.health.state == "ready":
                givers[node_id] = ArtifactHolder(node_id, address.host, address.port, is_head)
        return givers

    def plan(self, desired: Desired) -> ConfigPlan:
        """What would change if this were asked for. Nothing does."""
        shop = Shop(self.givers(), self.authority, self._couriers.backoff)
        now, then = self._candidates(self._desired), self._candidates(desired)
        served = self._without_away(self._desired)
        ground = Ground(served, now, then, self.reachable(), shop, self._residence.loads)
        return config_plan(self._without_away(desired), ground)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                for node_id in self._watches:
                    self._observe(node_id)
                await self._settle()
                while True:
                    self._wake.clear()
                    await self.tick()
                    await self._pause()
            finally:
                self._tasks = None
                self._couriers.close()

    async def look(self) -> None:
        """Observe every node once, all at the same time."""
        async with asyncio.TaskGroup() as tasks:
            for watch in self._watches.values():
                tasks.create_task(watch.look())

    async def tick(self) -> ClusterSnapshot:
        # One configuration for the whole tick, even if another arrives while it waits for its couriers.
        desired, authority = self._desired, self.authority
        for watch in self._watches.values():
            watch.judge()
        candidates = self._candidates(desired)
        shop = Shop(self.givers(), authority, self._couriers.backoff)
        roster = self._residence.decide(self._without_away(desired), candidates)
        copies = plan_copies(roster.models, candidates, place(roster.models, candidates), shop)
        placement = self._explain_away(copies.placement)
        goal = Goal(placement, authority, desired.drain_s, self._current_doubts())
        actions = (*reconcile(goal, self.reachable(), self._clock.wall_s()), *copies.orders)
        self._order(actions)
        await self._couriers.settle(self._times.order_patience_s)
        self._ledger.note(candidates, placement, self._clock.wall_s())
        self._couriers.talked_about(actions, {item.spec.engine_id for item in placement.assignments})
        snapshot = self._snapshot(desired, placement, self._residence.expect(roster, placement))
        self._residence.note_views(snapshot.models)
        return self._publisher.publish_cluster(snapshot)

    def _observe(self, node_id: NodeId) -> None:
        if self._tasks is not None:
            self._loops[node_id] = self._tasks.create_task(self._watches[node_id].run(), name=f"observe {node_id}")

    async def _settle(self) -> None:
        """Gateways route by what is published: one that says nothing of a node that serves would cut it off."""
        waiting = [asyncio.create_task(watch.reported()) for watch in self._watches.values()]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=self._times.settle_s)
            for waiter in late:
                waiter.cancel()

    async def _pause(self) -> None:
        """Until something happened, the next tick is due, or silence alone makes a difference."""
        now_s = self._clock.monotonic_s()
        changes = [at_s for watch in self._watches.values() if (at_s := watch.next_change_s()) is not None]
        wait_s = min([self._times.tick_s, *(max(0.0, at_s - now_s) for at_s in changes)])
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            return

    def _candidates(self, desired: Desired) -> list[Candidate]:
        """Every node that has reported, with the reason why it takes nothing where it does not."""
        found: list[Candidate] = []
        for node_id, watch in self._watches.items():
            if watch.health.snapshot is not None:
                wanted = desired.node(node_id)
                admission = views.admission(watch.health, self._wish(node_id), configured=wanted is not None)
                fallback = WantedNode(node_id, engines=(), reserve_bytes=None)
                labels = views.labels_of(wanted, self._wish(node_id))
                snapshot, memories = watch.health.snapshot, self._ledger.memories(watch.health.snapshot)
                found.append(Candidate(replace(wanted or fallback, labels=labels), snapshot, admission, memories))
        return found

    def _without_away(self, desired: Desired) -> Desired:
        return replace(desired, models=tuple(model for model in desired.models if model.name not in self._away))

    def _explain_away(self, placement: Placement) -> Placement:
        """What has no engines because somebody said so is among what has no place, with that reason."""
        away = tuple(
            Unplaced(name, ((NodeId(""), f"unloaded by the operator; `potluck models load {name}` ends that"),))
            for name in sorted(self._away)
        )
        return replace(placement, unplaced=(*placement.unplaced, *away)) if away else placement

    def _order(self, actions: Sequence[Action]) -> None:
        """Nodes at the same time, the orders of one node in sequence."""
        by_node: dict[NodeId, list[Action]] = {}
        for action in actions:
            by_node.setdefault(action.node_id, []).append(action)
        for node_id, todo in by_node.items():
            self._couriers.send(self._watches[node_id].link, todo)

    def _current_doubts(self) -> tuple[EngineDoubt, ...]:
        now_s = self._clock.monotonic_s()
        self._doubts = {key: (doubt, until_s) for key, (doubt, until_s) in self._doubts.items() if now_s < until_s}
        return tuple(doubt for doubt, _ in self._doubts.values())

    def _wish(self, node_id: NodeId) -> NodeWish:
        return self._wishes.get(node_id) or NodeWish(node_id)

    def _snapshot(
        self, desired: Desired, placement: Placement, outlooks: Mapping[ModelName, Outlook]
    ) -> ClusterSnapshot:
        health = {node_id: watch.health for node_id, watch in self._watches.items()}
        backoff = self._couriers.backoff
        linked = [
            replace(
                views.node_view(watch.link, watch.health, self._wish(node_id), desired),
                memories=self._ledger.memories(watch.health.snapshot),
            )
            for node_id, watch in sorted(self._watches.items())
        ]
        absent = views.absent_nodes(desired, tuple(self._watches), self._started_s)
        nodes = (*linked, *absent)
        return ClusterSnapshot(
            schema=SCHEMA_VERSION,
            cluster=desired.cluster,
            epoch=self._epoch,
            sequence=0,  # the publisher counts
            config_revision=desired.revision,
            taken_at_s=self._clock.wall_s(),
            nodes=nodes,
            models=tuple(
                replace(
                    views.model_view(model, placement, health, backoff, outlooks.get(model.name, Outlook())),
                    away=model.name in self._away,
                    zones=views.zones_for(model, nodes),
                )
                for model in desired.models
            ),
            aliases=desired.aliases,
            routes=desired.routes,
            policy=desired.policy,
            side_calls=desired.side_calls,
            warming=desired.warming,
            cache=desired.cache,
            pii=desired.pii,
            classes=desired.classes,
        )
