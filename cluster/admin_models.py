"""The part of /api/v1 about models as such: load one, or unload it."""

from typing import Protocol

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from cluster.admin_wire import AdminFault, FaultBody
from cluster.model_desk import ModelNotConfiguredError
from cluster.model_wishes import ModelWish


class ModelControl(Protocol):
    """What an operator may do to a model. Raises ModelNotConfiguredError."""

    def load(self, name: str) -> ModelWish: ...

    def unload(self, name: str) -> ModelWish: ...


def add_model_routes(app: FastAPI, models: ModelControl) -> None:
    @app.post("/api/v1/models/{name}/load")
    async def load(name: str) -> Response:
        return _json(models.load(name))

    @app.post("/api/v1/models/{name}/unload")
    async def unload(name: str) -> Response:
        return _json(models.unload(name))

    @app.exception_handler(ModelNotConfiguredError)
    async def unknown(_: Request, error: ModelNotConfiguredError) -> Response:
        return _json(FaultBody(AdminFault("not_found", str(error))), 404)


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
