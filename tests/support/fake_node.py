"""A machine at the other end of a NodeLink, without the machine: it obeys orders in memory, or fails as told."""

from dataclasses import replace

from cluster.link import LinkError, LinkKind
from cluster.snapshot import NodeAddress
from nodes.orders import Authority, EngineSpec, PullOrder
from nodes.snapshot import EngineId, EngineSnapshot, NodeId, NodeSnapshot
from support.cluster_facts import engine


class FakeNode:
    """Implements cluster.link.NodeLink. `orders` is what it was told, in sequence."""

    def __init__(self, snapshot: NodeSnapshot) -> None:
        self._node_id = snapshot.node_id
        self.snapshot = snapshot
        self.orders: list[tuple[str, EngineId]] = []
        self.pulls: list[PullOrder] = []
        self.authorities: list[Authority] = []
        self.unreachable: str | None = None
        self.refusal: LinkError | None = None

    @property
    def node_id(self) -> NodeId:
        return self._node_id

    @property
    def reason(self) -> str:
        return ""

    @property
    def kind(self) -> LinkKind:
        return "local"

    @property
    def address(self) -> NodeAddress | None:
        return None

    async def observe(self) -> NodeSnapshot:
        if self.unreachable is not None:
            raise LinkError(self.node_id, self.unreachable)
        return self.snapshot

    async def ensure_engine(self, spec: EngineSpec, authority: Authority) -> None:
        self._obey("ensure", spec.engine_id, authority)
        started = engine(spec.engine_id, "starting", authority.config_revision, spec.kind, ref=spec.model)
        known = self._find(spec.engine_id)
        self._put(replace(known, config_revision=authority.config_revision) if known else started)

    async def drain_engine(self, engine_id: EngineId, authority: Authority) -> None:
        self._obey("drain", engine_id, authority)
        known = self._find(engine_id)
        if known is not None:
            self._put(replace(known, state="draining"))

    async def stop_engine(self, engine_id: EngineId, authority: Authority) -> None:
        self._obey("stop", engine_id, authority)
        self._keep(tuple(engine for engine in self.snapshot.engines if engine.engine_id != engine_id))

    async def pull(self, order: PullOrder, authority: Authority) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.pulls.append(order)

    async def tail(self, engine_id: EngineId | None, lines: int) -> str:
        if self.unreachable is not None:
            raise LinkError(self.node_id, self.unreachable)
        return f"the last {lines} lines of {engine_id or 'the daemon'}"

    def become_ready(self) -> None:
        """Every engine that starts has loaded its model."""
        self._keep(tuple(replace(engine, state="ready", reason="") for engine in self.snapshot.engines))

    def _obey(self, order: str, engine_id: EngineId, authority: Authority) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.orders.append((order, engine_id))
        self.authorities.append(authority)

    def _find(self, engine_id: EngineId) -> EngineSnapshot | None:
        return next((engine for engine in self.snapshot.engines if engine.engine_id == engine_id), None)

    def _put(self, changed: EngineSnapshot) -> None:
        others = tuple(engine for engine in self.snapshot.engines if engine.engine_id != changed.engine_id)
        self._keep((*others, changed))

    def _keep(self, engines: tuple[EngineSnapshot, ...]) -> None:
        self.snapshot = replace(self.snapshot, engines=engines)
