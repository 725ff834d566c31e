"""Around the ASGI app: every route needs a key with its scope, every answer has our id, no error leaks."""

from collections.abc import Sequence

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from inventory.logs import told
from router.dashboard.cookie import session_id
from router.dashboard.door import Door
from router.data_class import classes_of
from router.dialects.error_shapes import shape_at
from router.dispatcher import Dispatcher
from router.errors import ApiError, internal, too_large
from router.permissions import LOGIN_ROUTES, OPEN_ROUTES
from router.readers import Caller
from router.request import Identity


class Guard:
    """Default-deny, as middleware: a route cannot be added without it. It asks the routes themselves which one will
    answer, so that what is authorised is what is served."""

    def __init__(self, app: ASGIApp, dispatcher: Dispatcher, routes: Sequence[BaseRoute], door: Door) -> None:
        self._app, self._dispatcher, self._routes, self._door = app, dispatcher, routes, door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # websockets: there is none, and none gets in by being new
            return
        request_id = self._dispatcher.ids.next()
        started = False

        async def send_named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = message.setdefault("headers", [])
                if not any(name == b"x-request-id" for name, _ in headers):
                    message["headers"] = [*headers, (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            scope.setdefault("state", {})["request_id"] = request_id
            self._admit(scope)
            await self._app(scope, receive, send_named)
        except ApiError as error:
            await send_error(error, send_named, scope["path"])
        except Exception as error:  # noqa: BLE001 - the last resort of every route: logged here, told without details
            self._dispatcher.context.log.emit("request_failed", request_id=request_id, error=told(error))
            if not started:
                await send_error(internal(request_id), send_named, scope["path"])

    def _admit(self, scope: Scope) -> None:
        """Raises ApiError 401 for somebody unknown, 403 for somebody who may not; leaves who it is to the route."""
        path = self._declared_path(scope)
        if path in OPEN_ROUTES or path in LOGIN_ROUTES:
            return
        headers, state = dict(scope["headers"]), scope["state"]
        known = self._door.cookie_holder(headers, scope["method"], path)
        state["identity"] = self._dispatcher.admit(headers, path, known)
        state["session"] = session_id(headers) if known is not None else None

    def _declared_path(self, scope: Scope) -> str | None:
        """Of the route that will answer, by the router's own order: the first that fits, else the first that would by
        another method. None where there is none, and the answer is a 404."""
        fits = [(route.matches(scope)[0], route) for route in self._routes]
        chosen = next((route for match, route in fits if match is Match.FULL), None)
        chosen = chosen or next((route for match, route in fits if match is Match.PARTIAL), None)
        if chosen is None:
            return None
        return chosen.path if isinstance(chosen, Route) else ""  # a mounted app has no entry, so it answers nobody


def caller(request: Request) -> Identity:
    """Who asks, as the guard found."""
    identity = request.state.identity
    assert isinstance(identity, Identity)
    return identity


def asking(request: Request) -> Caller:
    """The same, with the request's id, for what is put on record."""
    return Caller(caller(request), request.state.request_id, classes_of(request.headers.raw))


async def body_of(request: Request, limit_bytes: int) -> bytes:
    """Raises ApiError 413."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > limit_bytes:
            raise too_large(limit_bytes)
    return body


def json_answer(told: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(told), media_type="application/json")


async def send_error(error: ApiError, send: Send, path: str) -> None:
    """In the shape of the dialect whose path it is."""
    body = shape_at(path)(error, "")
    headers = [(name.encode(), value.encode()) for name, value in error.headers()]
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
