"""GET /api/v1/fit/ledger: what engines were predicted to take, what they took, and what was learned from it."""

from typing import Annotated, Protocol

import msgspec
from fastapi import FastAPI, Query
from fastapi.responses import Response

from cluster.ledger_report import LedgerDocument


class Ledger(Protocol):
    def ledger(self, node: str | None) -> LedgerDocument:
        """Of one node, or of all."""
        ...


def add_ledger_routes(app: FastAPI, ledger: Ledger) -> None:
    @app.get("/api/v1/fit/ledger")
    async def read(node: Annotated[str | None, Query(max_length=128)] = None) -> Response:
        return Response(msgspec.json.encode(ledger.ledger(node)), media_type="application/json")
