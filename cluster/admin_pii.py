"""The part of /api/v1 about pseudonyms: what one stands for, for an admin, and on record before it is told."""

import asyncio

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from cluster.admin_wire import AdminFault, FaultBody, PseudonymRevealed
from cluster.config_values import PublicName
from cluster.pii_vault import PseudonymVault, UnknownPseudonymError


class RevealBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    token: str = Field(max_length=64)
    tenant: PublicName = "default"


def add_pii_routes(app: FastAPI, vault: PseudonymVault) -> None:
    @app.post("/api/v1/pii/reveal")
    async def reveal(body: RevealBody) -> Response:
        kind, value = await asyncio.to_thread(vault.reveal, body.tenant, body.token)
        return Response(msgspec.json.encode(PseudonymRevealed(kind, value)), media_type="application/json")

    @app.exception_handler(UnknownPseudonymError)
    async def unknown(_: Request, error: UnknownPseudonymError) -> Response:
        body = msgspec.json.encode(FaultBody(AdminFault("not_found", str(error))))
        return Response(body, 404, media_type="application/json")
