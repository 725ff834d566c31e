"""The audit to be read at the head's admin API: its records, and whether they are as they were written."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from cluster.admin_wire import AdminFault, FaultBody
from cluster.audit_api import UNAVAILABLE, CopyHolders
from cluster.audit_reading import NoAuditError
from cluster.audit_shown import audit_page, own_verdict
from cluster.audit_store import AuditDamagedError
from cluster.audit_wire import AuditQuestion
from inventory.paths import StatePaths

Found = TypeVar("Found")


def add_audit_reading_routes(app: FastAPI, paths: StatePaths, holders: CopyHolders | None) -> None:
    verifying = asyncio.Lock()  # it reads all of the log: once at a time is enough

    @app.get("/api/v1/audit/records")
    async def records(
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
        action: Annotated[str, Query(max_length=32)] = "",
        outcome: Literal["", "begun", "done", "refused", "failed"] = "",
        text: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        question = AuditQuestion(limit, before, action, outcome, text)
        return await _read(lambda: audit_page(paths, question))

    @app.get("/api/v1/audit/verdict")
    async def verdict() -> Response:
        copies = await holders.copies() if holders is not None else ()
        async with verifying:
            return await _read(lambda: own_verdict(paths, copies))

    @app.exception_handler(AuditDamagedError)
    @app.exception_handler(NoAuditError)
    async def unreadable(_: Request, error: Exception) -> Response:
        body = msgspec.json.encode(FaultBody(AdminFault(UNAVAILABLE, str(error))))
        return Response(body, 503, media_type="application/json")


async def _read(find: Callable[[], Found]) -> Response:
    """In a thread: the log is long, and the loop has machines to watch."""
    return Response(msgspec.json.encode(await asyncio.to_thread(find)), media_type="application/json")
