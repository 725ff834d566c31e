"""The link to the node daemon of this same machine, over its private Unix socket."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from cluster.link import LinkError, LinkKind, OrderRefusedError
from nodes.client import NodeClient, NodeError, NodeRefusedError
from nodes.orders import Authority, EngineSpec
from nodes.snapshot import EngineId, NodeId, NodeSnapshot


class LocalLink:
    """Implements cluster.link.NodeLink."""

    def __init__(self, node_id: NodeId, socket: Path, timeout_s: float = 5.0) -> None:
        self._node_id = node_id
        self._client = NodeClient(socket, timeout_s)

    @property
    def node_id(self) -> NodeId:
        return self._node_id

    @property
    def kind(self) -> LinkKind:
        return "local"

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
