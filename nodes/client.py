"""The node API as typed calls. Over this machine's Unix socket; every failure is a NodeError.

NodeError
├── NodeUnreachableError   no answer, or none in time: the node may or may not have heard
├── NodeProtocolError      an answer this version does not understand
└── NodeRefusedError       the node heard, and will not: `status`, `code`, and its reason
"""

from pathlib import Path
from typing import Literal, TypeVar

import httpx2
import msgspec

from nodes.api_wire import (
    PREFIX,
    EnsureEngine,
    ErrorBody,
    ErrorDetail,
    OrderBody,
    ProtocolRange,
    ShutdownBody,
)
from nodes.orders import Authority, EngineSpec
from nodes.snapshot import EngineId, NodeSnapshot
from nodes.unix_server import unix_client

Answer = TypeVar("Answer")
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


class NodeClient:
    """One node's API. Keeps no connection: a control-plane call a second is not worth the state."""

    def __init__(self, socket: Path, timeout_s: float = 5.0) -> None:
        self._socket, self._timeout_s = socket, timeout_s

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

    async def shutdown(self, engines: Literal["stop", "leave"]) -> None:
        """End the daemon; with "stop", its engines first. Returns when they are gone."""
        await self._call("POST", "/shutdown", ShutdownBody(engines), ShutdownBody, SHUTDOWN_TIMEOUT_S)

    async def _call(
        self, method: str, path: str, body: object, expected: type[Answer], timeout_s: float | None = None
    ) -> Answer:
        content = None if body is None else msgspec.json.encode(body)
        try:
            async with unix_client(self._socket, timeout_s or self._timeout_s) as client:
                answer = await client.request(method, PREFIX + path, content=content)
        except httpx2.TimeoutException as error:
            raise NodeUnreachableError(f"the node daemon behind {self._socket} did not answer in time") from error
        except httpx2.HTTPError as error:
            raise NodeUnreachableError(f"no node daemon answers at {self._socket}: {error}") from error
        if answer.status_code >= httpx2.codes.BAD_REQUEST:
            raise _refusal(answer)
        try:
            return msgspec.json.decode(answer.content, type=expected)
        except msgspec.MsgspecError as error:
            raise NodeProtocolError(f"{method} {path}: {error}; is the node of another version?") from error


def _refusal(answer: httpx2.Response) -> NodeError:
    try:
        detail = msgspec.json.decode(answer.content, type=ErrorBody).error
    except msgspec.MsgspecError:
        return NodeProtocolError(f"status {answer.status_code} without a reason; is the node of another version?")
    return NodeRefusedError(answer.status_code, detail)
