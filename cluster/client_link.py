"""What the links that speak the node API themselves have in common: calls by NodeClient, its errors as LinkErrors."""

from collections.abc import Generator
from contextlib import contextmanager

from cluster.link import LinkError, OrderRefusedError
from nodes.client import NodeClient, NodeError, NodeRefusedError
from nodes.orders import Authority, EngineSpec, PullOrder
from nodes.snapshot import EngineId, NodeId, NodeSnapshot


class ClientLink:
    """All of cluster.link.NodeLink but what kind of link it is, and where it leads."""

    def __init__(self, node_id: NodeId, client: NodeClient, reason: str = "") -> None:
        self._node_id, self._client, self._reason = node_id, client, reason

    @property
    def node_id(self) -> NodeId:
        return self._node_id

    @property
    def reason(self) -> str:
        return self._reason

    async def observe(self) -> NodeSnapshot:
        with self._translated():
            return await self._client.observe()

    async def ensure_engine(self, spec: EngineSpec, authority: Authority) -> None:
        with self._translated():
            await self._client.ensure_engine(spec, authority)

    async def drain_engine(self, engine_id: EngineId, authority: Authority) -> None:
        with self._translated(gone_is_done=True):
            await self._client.drain_engine(engine_id, authority)

    async def stop_engine(self, engine_id: EngineId, authority: Authority) -> None:
        with self._translated(gone_is_done=True):
            await self._client.stop_engine(engine_id, authority)

    async def pull(self, order: PullOrder, authority: Authority) -> None:
        with self._translated():
            await self._client.pull(order, authority)

    async def tail(self, engine_id: EngineId | None, lines: int) -> str:
        with self._translated():
            return (await self._client.tail(engine_id, lines)).text

    @contextmanager
    def _translated(self, *, gone_is_done: bool = False) -> Generator[None, None, None]:
        """NodeError -> LinkError. An engine that is gone already has been drained and stopped."""
        try:
            yield
        except NodeRefusedError as error:
            if not (gone_is_done and error.code == "unknown_engine"):
                raise OrderRefusedError(self._node_id, str(error)) from error
        except NodeError as error:
            raise LinkError(self._node_id, str(error)) from error
