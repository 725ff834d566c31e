"""The part of the head's /api/v1 about erasures: what it holds of somebody, hands over, and forgets."""

import sqlite3
from collections.abc import Callable
from typing import Annotated, Literal, Protocol

import msgspec
from fastapi import FastAPI
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from cluster.admin_wire import AdminFault, FaultBody, PrivacyAnswer
from cluster.erasure import Holding, Piece, Sought
from cluster.private_cleaning import NotCleanError

Hex = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Deed = Literal["holds", "export", "erase"]


class SoughtBody(BaseModel):
    """`mark`: over all marks together, which is what goes on record."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    erasure_id: Annotated[str, Field(pattern=r"^er_[0-9a-f]{24}$")]
    mark: Hex
    key: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    marks: Annotated[list[Hex], Field(max_length=100_000)]
    lengths: Annotated[list[Annotated[int, Field(ge=1, le=4096)]], Field(max_length=4096)]
    naming: bool

    def sought(self) -> Sought:
        marks = frozenset(bytes.fromhex(one) for one in self.marks)
        return Sought(self.erasure_id, bytes.fromhex(self.key), marks, tuple(self.lengths), self.naming)


class Holdings(Protocol):
    def holds(self, sought: Sought) -> tuple[Holding, ...]: ...

    def export(self, sought: Sought) -> tuple[Piece, ...]: ...

    def erase(self, sought: Sought) -> tuple[Holding, ...]: ...


def add_privacy_routes(app: FastAPI, held: Holdings, publish: Callable[[], None]) -> None:
    """`publish` tells every gateway which keys there are still."""

    @app.post("/api/v1/privacy/holds")
    async def holds(body: SoughtBody) -> Response:
        return _answer(held.holds(body.sought()))

    @app.post("/api/v1/privacy/export")
    async def export(body: SoughtBody) -> Response:
        sought = body.sought()
        return _answer(held.holds(sought), held.export(sought))

    @app.post("/api/v1/privacy/erase")
    async def erase(body: SoughtBody) -> Response:
        found = held.erase(body.sought())
        publish()
        return _answer(found)

    @app.exception_handler(sqlite3.Error)
    @app.exception_handler(NotCleanError)
    async def cannot(_: object, error: Exception) -> Response:
        fault = FaultBody(AdminFault("cannot_write", str(error)))
        return Response(msgspec.json.encode(fault), 503, media_type="application/json")


def _answer(holdings: tuple[Holding, ...], pieces: tuple[Piece, ...] = ()) -> Response:
    answer = PrivacyAnswer(sum(one.count for one in holdings), holdings, pieces)
    return Response(msgspec.json.encode(answer), media_type="application/json")
