"""Two ways to one node: the primary while it works, the fallback when it does not. Orders are idempotent, so that an
order of which nobody knows whether it arrived is given again the other way.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from cluster.failover import Route, failed, recovered
from cluster.link import LinkError, LinkKind, NodeLink, OrderRefusedError
from cluster.snapshot import NodeAddress
from inventory.clock import Clock
from nodes.orders import Authority, EngineSpec, PullOrder
from nodes.snapshot import EngineId, NodeId, NodeSnapshot

Answer = TypeVar("Answer")

log = structlog.get_logger("potluck.cluster.failover")


class FailoverLink:
    """Implements cluster.link.NodeLink. `kind` is that of the link in use; engines notice nothing."""

    def __init__(self, primary: NodeLink, fallback: NodeLink, clock: Clock, patience_s: float = 1.0) -> None:
        """`patience_s`: how long the primary may take, so that the fallback still answers within a caller's own."""
        self._primary, self._fallback = primary, fallback
        self._clock, self._patience_s = clock, patience_s
        self._route = Route()

    @property
    def node_id(self) -> NodeId:
        return self._fallback.node_id

    @property
    def kind(self) -> LinkKind:
        return self._primary.kind if self._route.on_primary else self._fallback.kind

    @property
    def reason(self) -> str:
        return "" if self._route.on_primary else self._route.reason

    @property
    def address(self) -> NodeAddress | None:
        return self._fallback.address

    async def observe(self) -> NodeSnapshot:
        return await self._either(lambda link: link.observe())

    async def ensure_engine(self, spec: EngineSpec, authority: Authority) -> None:
        await self._either(lambda link: link.ensure_engine(spec, authority))

    async def drain_engine(self, engine_id: EngineId, authority: Authority) -> None:
        await self._either(lambda link: link.drain_engine(engine_id, authority))

    async def stop_engine(self, engine_id: EngineId, authority: Authority) -> None:
        await self._either(lambda link: link.stop_engine(engine_id, authority))

    async def pull(self, order: PullOrder, authority: Authority) -> None:
        await self._either(lambda link: link.pull(order, authority))

    async def tail(self, engine_id: EngineId | None, lines: int) -> str:
        return await self._either(lambda link: link.tail(engine_id, lines))

    async def _either(self, call: Callable[[NodeLink], Awaitable[Answer]]) -> Answer:
        if not self._route.tries_primary(self._clock.monotonic_s()):
            return await call(self._fallback)
        try:
            async with asyncio.timeout(self._patience_s):
                answer = await call(self._primary)
        except OrderRefusedError:
            self._works()
            raise
        except LinkError as error:
            reason = error.reason
        except TimeoutError:
            reason = f"no answer within {self._patience_s:g} s"
        else:
            self._works()
            return answer
        self._fails(reason)
        return await call(self._fallback)

    def _works(self) -> None:
        if not self._route.on_primary:
            log.info("link_recovered", node=self.node_id, link=self._primary.kind)
            self._route = recovered(self._route)

    def _fails(self, reason: str) -> None:
        if self._route.on_primary:
            log.warning("link_failed_over", node=self.node_id, to=self._fallback.kind, reason=reason)
        self._route = failed(self._route, reason, self._clock.monotonic_s())
