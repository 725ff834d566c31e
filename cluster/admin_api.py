"""/api/v1 on the head's Unix socket: read the snapshot, follow it, change the configuration, rotate the owner's key.

Whoever can open the socket owns this state directory; there is no second check. Nothing here is on a network.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from cluster.admin_wire import AdminFault, ConfigApplied, ConfigText, ErrorCode, FaultBody, RotatedKey
from cluster.config_problems import ConfigError
from cluster.plan_values import ConfigPlan
from cluster.publication import encode_line
from cluster.publisher import Publisher
from cluster.snapshot import KeyRecord


class HeadControl(Protocol):
    """What the head lets an operator do. Each method is one atomic step."""

    def config(self) -> ConfigText: ...

    def apply_config(self, text: str) -> ConfigApplied:
        """Raises ConfigError, OSError."""
        ...

    def plan_config(self, text: str) -> ConfigPlan:
        """What `apply_config` would change. Raises ConfigError."""
        ...

    def rotate_owner(self) -> KeyRecord: ...


class ConfigBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str


@dataclass(frozen=True, slots=True)
class AdminParts:
    control: HeadControl
    publisher: Publisher
    owner_key_file: Path


def admin_app(parts: AdminParts) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    _add_reading(app, parts)
    _add_changing(app, parts)
    _add_errors(app)
    return app


def _add_reading(app: FastAPI, parts: AdminParts) -> None:
    @app.get("/api/v1/snapshot")
    async def snapshot() -> Response:
        current = parts.publisher.cluster
        if current is None:
            return _fault(503, "starting", "the head has not finished its first look at the machines; ask again")
        return _json(current)

    @app.get("/api/v1/watch")
    async def watch() -> StreamingResponse:
        return StreamingResponse(_lines(parts.publisher), media_type="application/x-ndjson")

    @app.get("/api/v1/config")
    async def config() -> Response:
        return _json(parts.control.config())


def _add_changing(app: FastAPI, parts: AdminParts) -> None:
    @app.post("/api/v1/config")
    async def apply_config(body: ConfigBody) -> Response:
        return _json(parts.control.apply_config(body.text))

    @app.post("/api/v1/config/plan")
    async def plan_config(body: ConfigBody) -> Response:
        return _json(parts.control.plan_config(body.text))

    @app.post("/api/v1/keys/owner/rotate")
    async def rotate_owner() -> Response:
        record = parts.control.rotate_owner()
        return _json(RotatedKey(record.key_id, str(parts.owner_key_file)))


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ConfigError)
    async def refused_config(_: Request, error: ConfigError) -> Response:
        return _fault(400, "invalid_config", str(error))

    @app.exception_handler(OSError)
    async def cannot_write(_: Request, error: OSError) -> Response:
        return _fault(500, "cannot_write", f"{error.filename or 'the state directory'}: {error.strerror}")

    @app.exception_handler(RequestValidationError)
    async def invalid_request(_: Request, error: RequestValidationError) -> Response:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return _fault(400, "invalid_request", problems)

    @app.exception_handler(HTTPException)
    async def no_such_route(request: Request, error: HTTPException) -> Response:
        return _fault(error.status_code, "not_found", f"{request.method} {request.url.path}: {error.detail}")


async def _lines(publisher: Publisher) -> AsyncIterator[bytes]:
    async for publication in publisher.subscribe():
        yield encode_line(publication)


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _fault(status: int, code: ErrorCode, message: str) -> Response:
    return _json(FaultBody(AdminFault(code, message)), status)
