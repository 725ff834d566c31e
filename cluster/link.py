"""The seam between the controller and a node, whatever lies between them."""

from typing import Literal, Protocol

from cluster.snapshot import NodeAddress
from nodes.orders import Authority, EngineSpec, PullOrder
from nodes.snapshot import EngineId, NodeId, NodeSnapshot

LinkKind = Literal["local", "ray", "https"]


class LinkError(Exception):
    """The node did not answer, or its answer made no sense. The controller marks the node and tries again."""

    def __init__(self, node_id: NodeId, reason: str) -> None:
        super().__init__(f"node {node_id}: {reason}")
        self.node_id, self.reason = node_id, reason


class OrderRefusedError(LinkError):
    """The node answered and will not do it. The controller backs off and shows the reason; the node stays ready."""


class NodeLink(Protocol):
    """Every method raises LinkError. Orders are idempotent: repeating one that was carried out changes nothing."""

    @property
    def node_id(self) -> NodeId: ...

    @property
    def kind(self) -> LinkKind: ...

    @property
    def reason(self) -> str:
        """Why it is of this kind although a better one exists; "" where none does."""
        ...

    @property
    def address(self) -> NodeAddress | None:
        """Where gateways reach the node's TLS port; None for the head's own machine."""
        ...

    async def observe(self) -> NodeSnapshot: ...

    async def ensure_engine(self, spec: EngineSpec, authority: Authority) -> None: ...

    async def drain_engine(self, engine_id: EngineId, authority: Authority) -> None: ...

    async def stop_engine(self, engine_id: EngineId, authority: Authority) -> None: ...

    async def pull(self, order: PullOrder, authority: Authority) -> None:
        """Have the node copy an artifact from another one; it shows progress in what it reports."""
        ...

    async def tail(self, engine_id: EngineId | None, lines: int) -> str:
        """The end of an engine's log, or of the daemon's own."""
        ...
