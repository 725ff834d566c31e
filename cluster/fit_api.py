"""POST /api/v1/fit and what is below it: the same answers as `potluck fit`, for programs and the dashboard."""

from typing import Annotated, Protocol

import msgspec
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from cluster.admin_wire import AdminFault, FaultBody
from cluster.config_values import NodeName, Tokens
from cluster.fit import KvBits
from cluster.fit_fleet import FitQuery, FitReport
from cluster.fit_frontier import FrontierDocument
from cluster.fit_suggest import Suggestion
from cluster.fit_wire import document_of
from inventory.known_models import UnknownModelError, UnknownQuantisationError
from nodes.snapshot import NodeId


class Planner(Protocol):
    """Knows the configuration and the machines. Raises UnknownModelError, UnknownQuantisationError."""

    def fit(self, query: FitQuery) -> FitReport: ...

    def frontier(self, query: FitQuery) -> FrontierDocument: ...

    def suggest(self, context_tokens: int, users: int) -> Suggestion: ...


class FitBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Annotated[str, Field(max_length=128)]
    context: Tokens = 8192
    users: Annotated[int, Field(ge=1, le=4096)] = 1
    quant: Annotated[str, Field(max_length=32)] | None = None
    kv_bits: KvBits = 16
    node: NodeName | None = None

    def query(self) -> FitQuery:
        node = NodeId(self.node) if self.node else None
        return FitQuery(self.model, self.context, self.users, self.quant, self.kv_bits, node)


class SuggestionBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    context: Tokens = 8192
    users: Annotated[int, Field(ge=1, le=4096)] = 50


def add_fit_routes(app: FastAPI, planner: Planner) -> None:
    @app.post("/api/v1/fit")
    async def fit(body: FitBody) -> Response:
        return _json(document_of(planner.fit(body.query())))

    @app.post("/api/v1/fit/frontier")
    async def frontier(body: FitBody) -> Response:
        return _json(planner.frontier(body.query()))

    @app.post("/api/v1/fit/models")
    async def suggest(body: SuggestionBody) -> Response:
        return _json(planner.suggest(body.context, body.users))

    @app.exception_handler(UnknownModelError)
    async def unknown_model(_: Request, error: UnknownModelError) -> Response:
        return _json(FaultBody(AdminFault("not_found", str(error))), 404)

    @app.exception_handler(UnknownQuantisationError)
    async def unknown_quantisation(_: Request, error: UnknownQuantisationError) -> Response:
        return _json(FaultBody(AdminFault("invalid_request", str(error))), 400)


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")
