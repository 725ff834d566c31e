"""Around the ASGI app: every path needs a key unless it is named here, every answer has our id, no error leaks."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from router.dispatcher import Dispatcher
from router.errors import ApiError, internal

OPEN_PATHS = frozenset({"/healthz", "/readyz"})


class Guard:
    """Default-deny, as middleware: a route cannot be added without it."""

    def __init__(self, app: ASGIApp, dispatcher: Dispatcher) -> None:
        self._app, self._dispatcher = app, dispatcher

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
            if scope["path"] not in OPEN_PATHS:
                self._dispatcher.identify(dict(scope["headers"]))
            await self._app(scope, receive, send_named)
        except ApiError as error:
            await send_error(error, send_named)
        except Exception as error:  # noqa: BLE001 - the last resort of every route: logged here, told without details
            text = f"{type(error).__name__}: {error}"
            self._dispatcher.context.log.emit("request_failed", request_id=request_id, error=text)
            if not started:
                await send_error(internal(request_id), send_named)


async def send_error(error: ApiError, send: Send) -> None:
    body = error.body()
    headers = [(name.encode(), value.encode()) for name, value in error.headers()]
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
