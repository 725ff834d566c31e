"""The node API as a FastAPI app: parse, ask the daemon, render. Bodies are msgspec types, see nodes/api_wire.py."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
from fastapi import FastAPI, Request, Response

from nodes.api_wire import (
    PREFIX,
    PROTOCOL_MAXIMUM,
    PROTOCOL_MINIMUM,
    EnsureEngine,
    ErrorBody,
    ErrorCode,
    ErrorDetail,
    OrderBody,
    ProtocolRange,
    ShutdownBody,
)
from nodes.daemon import NodeDaemon
from nodes.engine_body import CannotLaunchError
from nodes.engines.base import EngineOptionError
from nodes.orders import StaleOrderError
from nodes.snapshot import EngineId
from nodes.supervisor import UnknownEngineError

Body = TypeVar("Body")


class _BadBodyError(Exception):
    """A body that is not of this API's schema."""


_ERRORS: tuple[tuple[type[Exception], int, ErrorCode], ...] = (
    (StaleOrderError, 409, "stale_order"),
    (UnknownEngineError, 404, "unknown_engine"),
    (CannotLaunchError, 422, "cannot_launch"),
    (EngineOptionError, 422, "bad_option"),
    (_BadBodyError, 422, "bad_request"),
)


def node_app(daemon: NodeDaemon, shut_down: Callable[[], None]) -> FastAPI:
    """`shut_down` ends the daemon's process once the answer is sent."""
    app = FastAPI(title="potluck node", openapi_url=None, docs_url=None, redoc_url=None)
    _add_orders(app, daemon)

    @app.get(f"{PREFIX}/protocol")
    async def protocol() -> Response:
        return _json(ProtocolRange(PROTOCOL_MINIMUM, PROTOCOL_MAXIMUM))

    @app.get(f"{PREFIX}/observe")
    async def observe() -> Response:
        return _json(daemon.snapshot())

    @app.post(f"{PREFIX}/shutdown")
    async def shutdown(request: Request) -> Response:
        body = await _body(request, ShutdownBody)
        if body.engines == "stop":
            await daemon.supervisor.stop_all()
        asyncio.get_running_loop().call_soon(shut_down)
        return _json(body, status=202)

    for kind, status, code in _ERRORS:
        app.add_exception_handler(kind, _handler(status, code))
    return app


def _add_orders(app: FastAPI, daemon: NodeDaemon) -> None:
    @app.put(f"{PREFIX}/engines/{{engine_id}}")
    async def ensure(engine_id: str, request: Request) -> Response:
        body = await _body(request, EnsureEngine)
        if body.spec.engine_id != engine_id:
            raise _BadBodyError(f"the address says {engine_id}, the body says {body.spec.engine_id}")
        daemon.supervisor.ensure(body.spec, body.authority)
        return _json(body.spec, status=202)

    @app.post(f"{PREFIX}/engines/{{engine_id}}/drain")
    async def drain(engine_id: str, request: Request) -> Response:
        body = await _body(request, OrderBody)
        daemon.supervisor.drain(EngineId(engine_id), body.authority)
        return _json(body, status=202)

    @app.delete(f"{PREFIX}/engines/{{engine_id}}")
    async def stop(engine_id: str, request: Request) -> Response:
        body = await _body(request, OrderBody)
        daemon.supervisor.stop(EngineId(engine_id), body.authority)
        return _json(body, status=202)


async def _body(request: Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(await request.body(), type=kind)
    except msgspec.MsgspecError as error:
        raise _BadBodyError(str(error)) from error


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def _handler(status: int, code: ErrorCode) -> Callable[[Request, Exception], Response]:
    def handle(_request: Request, error: Exception) -> Response:
        return _json(ErrorBody(ErrorDetail(code, str(error))), status)

    return handle
