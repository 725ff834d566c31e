"""The dashboard's routes for whoever runs the cluster: models on disk, keys, usage, and the audit."""

import asyncio
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query
from fastapi.responses import Response

from cluster.admin_client import AdminClient
from cluster.audit_wire import AuditQuestion
from router.dashboard.audit_book import AuditOutcome, audit_book
from router.dashboard.head import of_the_head
from router.dashboard.key_book import key_book
from router.dashboard.shelf import shelf_of
from router.dashboard.usage_book import dimensions, usage_book
from router.dispatcher import Dispatcher
from router.errors import ApiError
from router.guard import json_answer
from router.limits import Standing
from router.openapi import json_operation
from router.request import Identity
from router.usage_query import UsageQuery

ARTIFACTS, KEYS, USAGE = "/api/v1/artifacts", "/api/v1/keys", "/api/v1/usage"
AUDIT, VERDICT = "/api/v1/audit", "/api/v1/audit/verdict"
HOUR_S = 3600.0
MOST_HOURS = 400 * 24  # as long as usage is kept
VERDICT_TIMEOUT_S = 300.0  # all of the log is read
Word = Annotated[str | None, Query(max_length=128)]


def add_book_routes(app: FastAPI, dispatcher: Dispatcher) -> None:
    _add_shelf(app, dispatcher)
    _add_keys(app, dispatcher)
    _add_usage(app, dispatcher)
    _add_audit(app, dispatcher)


def _add_shelf(app: FastAPI, dispatcher: Dispatcher) -> None:
    @app.get(ARTIFACTS, response_model=None, openapi_extra=json_operation(ARTIFACTS))
    async def artifacts() -> Response:
        snapshot = dispatcher.view.cluster
        if snapshot is None:
            raise ApiError(503, "not_ready", "this gateway has not heard from the head yet").retry_after(2)
        return json_answer(shelf_of(snapshot))


def _add_keys(app: FastAPI, dispatcher: Dispatcher) -> None:
    head, clock = AdminClient(dispatcher.context.settings.paths.head_socket), dispatcher.context.clock

    def standing(key_id: str) -> tuple[Identity, tuple[Standing, ...]] | None:
        holder = dispatcher.view.keys.holder_of(key_id, clock.wall_s())
        return (holder, dispatcher.limits.standing(holder)) if holder is not None else None

    @app.get(KEYS, response_model=None, openapi_extra=json_operation(KEYS))
    async def keys() -> Response:
        facts = await of_the_head(head.keys(), "which keys there are")
        return json_answer(key_book(facts, standing, dispatcher.limits.groups, clock.wall_s()))


def _add_usage(app: FastAPI, dispatcher: Dispatcher) -> None:
    path, clock = dispatcher.context.settings.paths.telemetry_db, dispatcher.context.clock

    @app.get(USAGE, response_model=None, openapi_extra=json_operation(USAGE))
    async def usage(
        by: Annotated[str, Query(max_length=64)] = "key",
        hours: Annotated[int, Query(ge=1, le=MOST_HOURS)] = 24,
        key: Word = None,
        group: Word = None,
        model: Word = None,
    ) -> Response:
        now_s = clock.wall_s()
        keys = (key,) if key else ()
        query = UsageQuery(dimensions(by), now_s - hours * HOUR_S, now_s, keys, group or None, model or None)
        return json_answer(await asyncio.to_thread(usage_book, path, query))


def _add_audit(app: FastAPI, dispatcher: Dispatcher) -> None:
    head = AdminClient(dispatcher.context.settings.paths.head_socket, VERDICT_TIMEOUT_S)

    @app.get(AUDIT, response_model=None, openapi_extra=json_operation(AUDIT))
    async def audit(
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
        action: Annotated[str, Query(max_length=32)] = "",
        outcome: AuditOutcome = "",
        text: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        question = AuditQuestion(limit, before, action, outcome, text)
        page = await of_the_head(head.audit_records(question), "what is on record")
        return json_answer(audit_book(page))

    @app.get(VERDICT, response_model=None, openapi_extra=json_operation(VERDICT))
    async def verdict() -> Response:
        found = await of_the_head(head.audit_verdict(), "whether the audit is whole")
        return Response(msgspec.json.encode(found), media_type="application/json")
