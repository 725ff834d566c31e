"""The node API as a FastAPI app: parse, ask the daemon, render. Bodies are msgspec types, see nodes/api_wire.py."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

import msgspec
from fastapi import FastAPI, Request, Response

from inventory.store_records import is_artifact_id
from nodes.api_wire import (
    PREFIX,
    PROTOCOL_MAXIMUM,
    PROTOCOL_MINIMUM,
    CheckpointsBody,
    EnsureEngine,
    ErrorBody,
    ErrorCode,
    ErrorDetail,
    LogTail,
    OrderBody,
    ProtocolRange,
    PullModel,
    RayBody,
    SealedBody,
    ShutdownBody,
    TrustBody,
)
from nodes.artifact_api import add_artifacts
from nodes.audit_shelf import BadCheckpointError, CheckpointShelf
from nodes.daemon import NodeDaemon
from nodes.deny_list import DenyList
from nodes.engine_body import CannotLaunchError
from nodes.engines.base import EngineOptionError
from nodes.orders import StaleOrderError
from nodes.sealing.orders import follow as follow_sealed
from nodes.snapshot import EngineId
from nodes.supervisor import UnknownEngineError

Body = TypeVar("Body")
MOST_LOG_LINES = 2000


class _BadBodyError(Exception):
    """A body that is not of this API's schema."""


_ERRORS: tuple[tuple[type[Exception], int, ErrorCode], ...] = (
    (StaleOrderError, 409, "stale_order"),
    (UnknownEngineError, 404, "unknown_engine"),
    (CannotLaunchError, 422, "cannot_launch"),
    (EngineOptionError, 422, "bad_option"),
    (BadCheckpointError, 422, "bad_request"),
    (_BadBodyError, 422, "bad_request"),
)


def node_app(daemon: NodeDaemon, deny_list: DenyList, shut_down: Callable[[], None]) -> FastAPI:
    """`shut_down` ends the daemon's process once the answer is sent."""
    app = FastAPI(title="potluck node", openapi_url=None, docs_url=None, redoc_url=None)
    _add_orders(app, daemon)
    _add_pulls(app, daemon)
    _add_logs(app, daemon)
    _add_checkpoints(app, CheckpointShelf(daemon.settings.paths.audit_checkpoints))
    add_artifacts(app, daemon.settings.store)

    @app.get(f"{PREFIX}/protocol")
    async def protocol() -> Response:
        return _json(ProtocolRange(PROTOCOL_MINIMUM, PROTOCOL_MAXIMUM))

    @app.get(f"{PREFIX}/observe")
    async def observe() -> Response:
        return _json(daemon.snapshot())

    @app.put(f"{PREFIX}/trust")
    async def trust(request: Request) -> Response:
        body = await _body(request, TrustBody)
        deny_list.replace(body)
        return _json(body)

    @app.put(f"{PREFIX}/ray")
    async def ray(request: Request) -> Response:
        body = await _body(request, RayBody)
        daemon.supervisor.admit(body.authority)
        return _json(daemon.ray.follow(body.order))

    @app.put(f"{PREFIX}/sealed")
    async def sealed(request: Request) -> Response:
        body = await _body(request, SealedBody)
        daemon.supervisor.admit(body.authority)
        await asyncio.to_thread(follow_sealed, daemon.settings.paths, body.order)
        return _json(body.order)

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


def _add_pulls(app: FastAPI, daemon: NodeDaemon) -> None:
    @app.post(f"{PREFIX}/models/pull")
    async def pull(request: Request) -> Response:
        body = await _body(request, PullModel)
        if not is_artifact_id(body.order.artifact_id):
            raise _BadBodyError("artifact_id must be 64 hexadecimal digits")
        daemon.supervisor.admit(body.authority)
        daemon.pulls.order(body.order)
        return _json(body.order, status=202)


def _add_logs(app: FastAPI, daemon: NodeDaemon) -> None:
    @app.get(f"{PREFIX}/logs")
    async def own_log(request: Request) -> Response:
        return _json(LogTail(await asyncio.to_thread(daemon.tail, None, _lines(request))))

    @app.get(f"{PREFIX}/engines/{{engine_id}}/logs")
    async def engine_log(engine_id: str, request: Request) -> Response:
        return _json(LogTail(await asyncio.to_thread(daemon.tail, EngineId(engine_id), _lines(request))))


def _add_checkpoints(app: FastAPI, shelf: CheckpointShelf) -> None:
    @app.put(f"{PREFIX}/audit/checkpoints")
    async def keep(request: Request) -> Response:
        body = await _body(request, CheckpointsBody)
        for document in body.documents:
            shelf.keep(document)
        return _json(body)

    @app.get(f"{PREFIX}/audit/checkpoints")
    async def kept() -> Response:
        return _json(CheckpointsBody(shelf.documents()))


def _lines(request: Request) -> int:
    asked = request.query_params.get("lines", "100")
    if not (asked.isascii() and asked.isdigit()) or not 1 <= int(asked) <= MOST_LOG_LINES:
        raise _BadBodyError(f"lines must be a number from 1 to {MOST_LOG_LINES}, not {asked[:20]!r}")
    return int(asked)


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
