"""The node API as typed calls, over this machine's Unix socket or another's TLS port. Every failure is a NodeError.

NodeError
├── NodeUnreachableError   no answer, or none in time: the node may or may not have heard
├── NodeProtocolError      an answer this version does not understand
└── NodeRefusedError       the node heard, and will not: `status`, `code`, and its reason
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import httpx2
import msgspec

from nodes.api_wire import (
    PREFIX,
    CheckpointsBody,
    EnsureEngine,
    ErrorBody,
    ErrorDetail,
    LogTail,
    OrderBody,
    ProtocolRange,
    PullModel,
    RayBody,
    RayOrder,
    RayStanding,
    SealedBody,
    SealedOrder,
    ShutdownBody,
    TrustBody,
)
from nodes.orders import Authority, EngineSpec, PullOrder
from nodes.snapshot import EngineId, NodeSnapshot
from nodes.tls_client import Answer, PeerPlace, call
from nodes.unix_server import unix_client

Expected = TypeVar("Expected")
SHUTDOWN_TIMEOUT_S = 60.0


class NodeError(Exception):
    """A call to a node that did not succeed. Links translate it; commands print it."""


class NodeUnreachableError(NodeError):
    pass


class NodeProtocolError(NodeError):
    pass


class NodeRefusedError(NodeError):
    def __init__(self, status: int, detail: ErrorDetail) -> None:
        super().__init__(detail.message)
        self.status, self.code = status, detail.code


@dataclass(frozen=True, slots=True)
class BridgePlace:
    """A node behind the Ray bridge's socket, which passes requests on to the node's agent."""

    socket: Path
    node: str

    def __str__(self) -> str:
        return f"{self.socket} for {self.node}"


Place = Path | PeerPlace | BridgePlace


class NodeClient:
    """One node's API. Keeps no connection: a control-plane call a second is not worth the state."""

    def __init__(self, place: Place, timeout_s: float = 5.0) -> None:
        self._place, self._timeout_s = place, timeout_s

    async def protocol(self) -> ProtocolRange:
        return await self._call("GET", "/protocol", None, ProtocolRange)

    async def observe(self) -> NodeSnapshot:
        return await self._call("GET", "/observe", None, NodeSnapshot)

    async def ensure_engine(self, spec: EngineSpec, authority: Authority) -> None:
        await self._call("PUT", f"/engines/{spec.engine_id}", EnsureEngine(spec, authority), EngineSpec)

    async def drain_engine(self, engine_id: EngineId, authority: Authority) -> None:
        await self._call("POST", f"/engines/{engine_id}/drain", OrderBody(authority), OrderBody)

    async def stop_engine(self, engine_id: EngineId, authority: Authority) -> None:
        await self._call("DELETE", f"/engines/{engine_id}", OrderBody(authority), OrderBody)

    async def pull(self, order: PullOrder, authority: Authority) -> None:
        """Have it copy an artifact from another node. Returns at once; how it goes is in the snapshot."""
        await self._call("POST", "/models/pull", PullModel(order, authority), PullOrder)

    async def tail(self, engine_id: EngineId | None, lines: int) -> LogTail:
        """The end of an engine's log, or of the daemon's own."""
        where = "/logs" if engine_id is None else f"/engines/{engine_id}/logs"
        return await self._call("GET", f"{where}?lines={lines}", None, LogTail)

    async def trust(self, body: TrustBody) -> None:
        """Hand over which certificates are revoked."""
        await self._call("PUT", "/trust", body, TrustBody)

    async def ray(self, order: RayOrder | None, authority: Authority) -> RayStanding:
        """Have it take part in the cluster's Ray, or no longer. Returns whether it does."""
        return await self._call("PUT", "/ray", RayBody(order, authority), RayStanding)

    async def sealed(self, order: SealedOrder, authority: Authority) -> None:
        """Have it refuse every address outside the cluster, or no longer."""
        await self._call("PUT", "/sealed", SealedBody(order, authority), SealedOrder)

    async def keep_checkpoint(self, document: str) -> None:
        """Have it keep a checkpoint of the head's audit."""
        await self._call("PUT", "/audit/checkpoints", CheckpointsBody((document,)), CheckpointsBody)

    async def checkpoints(self) -> tuple[str, ...]:
        """All that it keeps."""
        return (await self._call("GET", "/audit/checkpoints", None, CheckpointsBody)).documents

    async def shutdown(self, engines: Literal["stop", "leave"]) -> None:
        """End the daemon; with "stop", its engines first. Returns when they are gone."""
        await self._call("POST", "/shutdown", ShutdownBody(engines), ShutdownBody, SHUTDOWN_TIMEOUT_S)

    async def _call(
        self, method: str, path: str, body: object, expected: type[Expected], timeout_s: float | None = None
    ) -> Expected:
        content = b"" if body is None else msgspec.json.encode(body)
        try:
            answer = await _ask(self._place, method, PREFIX + path, content, timeout_s or self._timeout_s)
        except (TimeoutError, httpx2.TimeoutException) as error:
            raise NodeUnreachableError(f"the node daemon behind {self._place} did not answer in time") from error
        except (OSError, httpx2.HTTPError) as error:
            raise NodeUnreachableError(f"no node daemon answers at {self._place}: {error}") from error
        if answer.status == httpx2.codes.BAD_GATEWAY:  # said by what lies between, never by a daemon
            raise NodeUnreachableError(answer.content.decode(errors="replace"))
        if answer.status >= httpx2.codes.BAD_REQUEST:
            raise _refusal(answer)
        try:
            return msgspec.json.decode(answer.content, type=expected)
        except msgspec.MsgspecError as error:
            raise NodeProtocolError(f"{method} {path}: {error}; is the node of another version?") from error


async def _ask(
    place: Path | PeerPlace | BridgePlace, method: str, path: str, content: bytes, timeout_s: float
) -> Answer:
    if isinstance(place, PeerPlace):
        return await call(place, method, path, content, timeout_s)
    socket, prefix = (place.socket, f"/nodes/{place.node}") if isinstance(place, BridgePlace) else (place, "")
    async with unix_client(socket, timeout_s) as client:
        answer = await client.request(method, prefix + path, content=content)
        return Answer(answer.status_code, answer.content)


def _refusal(answer: Answer) -> NodeError:
    try:
        detail = msgspec.json.decode(answer.content, type=ErrorBody).error
    except msgspec.MsgspecError:
        return NodeProtocolError(f"status {answer.status} without a reason; is the node of another version?")
    return NodeRefusedError(answer.status, detail)
