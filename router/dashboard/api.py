"""The dashboard's routes: login, the state once and as a stream, fit by the head, and recent requests."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response, StreamingResponse

from cluster.admin_client import AdminClient
from router.dashboard.acting import add_acting_routes
from router.dashboard.books_api import add_book_routes
from router.dashboard.cookie import NAME, Headers, same_origin, session_id
from router.dashboard.desk import Dashboard
from router.dashboard.head import of_the_head
from router.dashboard.login_api import add_login_routes, give_cookie
from router.dashboard.rows import MOST, newest, told
from router.dashboard.sessions import IDLE_S
from router.dashboard.wire import FitQuestion, Login, SessionEnded, SessionFacts
from router.dialects.common import decode
from router.dispatcher import Dispatcher
from router.errors import ApiError, invalid
from router.guard import body_of, caller, json_answer
from router.openapi import json_operation, stream_operation
from router.request import Identity

SESSION, STATE, EVENTS = "/dashboard/session", "/api/v1/state", "/api/v1/events"
FIT, FRONTIER = "/api/v1/fit", "/api/v1/fit/frontier"
DECISIONS, DECISION = "/api/v1/decisions", "/api/v1/decisions/{request_id}"
BODY_LIMIT_BYTES = 16_384
NOT_KEPT = {"cache-control": "no-store"}
_logins = msgspec.json.Decoder(Login)
_questions = msgspec.json.Decoder(FitQuestion)


def add_dashboard_routes(app: FastAPI, dispatcher: Dispatcher, dashboard: Dashboard) -> None:
    _add_session(app, dashboard)
    add_login_routes(app, dashboard.door)
    _add_state(app, dispatcher, dashboard)
    head = AdminClient(dispatcher.context.settings.paths.head_socket)
    _add_fit(app, head)
    add_acting_routes(app, head)
    add_book_routes(app, dispatcher)
    _add_decisions(app, dispatcher)


def _add_session(app: FastAPI, dashboard: Dashboard) -> None:
    door = dashboard.door

    def facts(identity: Identity, session: str | None) -> Response:
        name = door.name_of(identity, session)
        return json_answer(SessionFacts(name, identity.role, tuple(sorted(identity.scopes)), IDLE_S))

    @app.post(SESSION, response_model=None, openapi_extra=json_operation(f"POST {SESSION}"))
    async def log_in(request: Request) -> Response:
        check_login(request)
        login = decode(_logins, await body_of(request, BODY_LIMIT_BYTES))
        session, identity = await door.enter(login, SESSION, before=session_id(headers_of(request)))
        answer = facts(identity, session)
        give_cookie(answer, session, request.url.scheme == "https")
        answer.headers.update(NOT_KEPT)
        return answer

    @app.get(SESSION, response_model=None, openapi_extra=json_operation(f"GET {SESSION}"))
    async def who_is_in(request: Request) -> Response:
        headers = headers_of(request)
        return facts(door.holder(headers, "GET"), session_id(headers))

    @app.delete(SESSION, response_model=None, openapi_extra=json_operation(f"DELETE {SESSION}"))
    async def log_out(request: Request) -> Response:
        door.leave(headers_of(request))
        answer = json_answer(SessionEnded())
        answer.delete_cookie(NAME, path="/", httponly=True, samesite="strict")
        return answer


def _add_state(app: FastAPI, dispatcher: Dispatcher, dashboard: Dashboard) -> None:
    stream, door = dashboard.stage.stream, dashboard.door

    @app.get(STATE, response_model=None, openapi_extra=json_operation(STATE))
    async def state() -> Response:
        return Response(msgspec.json.encode(stream.document()), media_type="application/json", headers=NOT_KEPT)

    @app.get(EVENTS, response_model=None, openapi_extra=stream_operation(EVENTS))
    async def events(request: Request) -> Response:
        identity, session = caller(request), getattr(request.state, "session", None)
        last = request.headers.get("last-event-id")
        told = stream.events(last, lambda: not dispatcher.draining and door.still_in(identity, session))
        return StreamingResponse(await begun(told), media_type="text/event-stream", headers=NOT_KEPT)


def _add_fit(app: FastAPI, head: AdminClient) -> None:
    @app.post(FIT, response_model=None, openapi_extra=json_operation(FIT))
    async def fit(request: Request) -> Response:
        question = decode(_questions, await body_of(request, BODY_LIMIT_BYTES))
        report = await of_the_head(head.fit(msgspec.to_builtins(question)), "what fits")
        return Response(msgspec.json.encode(report), media_type="application/json")

    @app.post(FRONTIER, response_model=None, openapi_extra=json_operation(FRONTIER))
    async def frontier(request: Request) -> Response:
        question = decode(_questions, await body_of(request, BODY_LIMIT_BYTES))
        document = await of_the_head(head.frontier(msgspec.to_builtins(question)), "what fits")
        return Response(msgspec.json.encode(document), media_type="application/json")


def _add_decisions(app: FastAPI, dispatcher: Dispatcher) -> None:
    path = dispatcher.context.settings.paths.telemetry_db

    @app.get(DECISIONS, response_model=None, openapi_extra=json_operation(DECISIONS))
    async def recent(limit: Annotated[int, Query(ge=1, le=MOST)] = 50) -> Response:
        return json_answer(await asyncio.to_thread(newest, path, limit))

    @app.get(DECISION, response_model=None, openapi_extra=json_operation(DECISION))
    async def one(request_id: str) -> Response:
        return json_answer(await asyncio.to_thread(told, path, request_id))


def check_login(request: Request) -> None:
    """Nobody is logged in by another page. Raises ApiError 403, or 400 for what is not JSON: forms can send that."""
    if not same_origin(headers_of(request)):
        raise ApiError(403, "cross_site", "log in on the dashboard's own page")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise invalid("the body is JSON: send `content-type: application/json`", code="invalid_content_type")


async def begun(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same, once its first piece is there: what speaks against it is then an answer, not a broken stream."""
    first = await anext(stream, b"")

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in stream:
            yield piece

    return whole()


def headers_of(request: Request) -> Headers:
    return dict(request.scope["headers"])
