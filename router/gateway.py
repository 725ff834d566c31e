"""The gateway as a FastAPI app: its routes, its errors, its guard."""

import msgspec
import prometheus_client
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from router.asgi_host import AsgiRelay
from router.batches.api import add_batch_routes
from router.batches.desk import BatchDesk
from router.dashboard.api import add_dashboard_routes
from router.dashboard.assets import Assets, add_pages
from router.dashboard.desk import Dashboard, MinuteSink
from router.dialects.error_shapes import shape_at
from router.dispatcher import HOT_PATHS, Dispatcher
from router.erasing.api import add_privacy_routes
from router.erasing.eraser import Eraser
from router.errors import ApiError
from router.guard import Guard
from router.knowledge.api import add_store_routes
from router.knowledge.desk import DocumentDesk
from router.knowledge.folders_api import add_folder_routes
from router.knowledge.opening import NONE_KEPT
from router.model_api import add_model_routes
from router.ollama_api import add_ollama_routes, why_not
from router.openapi import ABOUT, DocumentedApp, hot_operation, json_operation, text_answer
from router.openapi_answers import ScrapeTarget
from router.readiness import Readiness, readiness
from router.request import Api
from router.route_api import add_route_explain
from router.token_api import add_token_routes

SCRAPED = "/api/v1/prometheus-sd"
_CODES = {404: "not_found", 405: "method_not_allowed"}


class RelayResponse(Response):
    """A route's answer that the relay writes itself."""

    def __init__(self, relay: AsgiRelay) -> None:
        self.background = None
        self._relay = relay

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._relay(scope, receive, send)


def create_app(
    dispatcher: Dispatcher,
    registry: prometheus_client.CollectorRegistry,
    batches: BatchDesk | None = None,
    dashboard: Dashboard | None = None,
    documents: DocumentDesk | str = NONE_KEPT,
    eraser: Eraser | None = None,
) -> FastAPI:
    """Every route of the gateway. Behind uvicorn with the hot protocol, the hot ones never get here. `documents`: the
    desk, or why there is none."""
    dashboard = dashboard or Dashboard(dispatcher, MinuteSink(dispatcher.context.clock).minute)
    app = DocumentedApp(title="potluck gateway", description=ABOUT, docs_url=None, redoc_url=None)
    app.add_middleware(Guard, dispatcher=dispatcher, routes=app.router.routes, door=dashboard.door)
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    for path, api in HOT_PATHS.items():
        _add_hot_route(app, path.decode(), api, dispatcher)
    add_model_routes(app, dispatcher)
    _add_operations(app, dispatcher, registry)
    add_ollama_routes(app, dispatcher)
    add_route_explain(app, dispatcher)
    add_token_routes(app, dispatcher)
    add_batch_routes(app, batches)
    _add_documents(app, documents)
    add_privacy_routes(app, eraser)
    add_dashboard_routes(app, dispatcher, dashboard)
    add_pages(app, Assets())
    return app


def _add_hot_route(app: FastAPI, path: str, api: Api, dispatcher: Dispatcher) -> None:
    relay = AsgiRelay(dispatcher, api, dispatcher.context.settings.body_limit_bytes)

    async def answer(request: Request) -> Response:
        return RelayResponse(relay)

    app.add_api_route(path, answer, methods=["POST"], name=api, response_model=None, openapi_extra=hot_operation(api))


def _add_documents(app: FastAPI, documents: DocumentDesk | str) -> None:
    def there() -> DocumentDesk:
        if isinstance(documents, str):
            raise ApiError(503, "documents_off", f"this gateway keeps no documents: {documents}")
        return documents

    add_store_routes(app, there)
    add_folder_routes(app, there)


def _add_operations(app: FastAPI, dispatcher: Dispatcher, registry: prometheus_client.CollectorRegistry) -> None:
    @app.get("/healthz")
    async def alive() -> dict[str, str]:
        return {"status": "alive"}

    @app.get("/readyz", responses={200: {"model": Readiness}, 503: {"model": Readiness, "description": "Not ready."}})
    async def ready() -> JSONResponse:
        verdict = readiness(dispatcher.view, dispatcher.draining)
        return JSONResponse(verdict.model_dump(), status_code=200 if verdict.ready else 503)

    @app.get("/metrics", openapi_extra=text_answer("text/plain"))
    async def metrics() -> Response:
        text = prometheus_client.generate_latest(registry)
        return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    @app.get(SCRAPED, response_model=None, openapi_extra=json_operation(SCRAPED))
    async def scraped(request: Request) -> Response:
        cluster = dispatcher.view.cluster
        labels = {"cluster": cluster.cluster} if cluster is not None else {}
        found = [ScrapeTarget([request.url.netloc], {"__scheme__": request.url.scheme, **labels})]
        return Response(msgspec.json.encode(found), media_type="application/json")


async def _on_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _render(request, error)


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    message = why_not(path) or f"{request.method} {path}: {error.detail}; the API is under /v1"
    response = _render(request, ApiError(error.status_code, _CODES.get(error.status_code, "http_error"), message))
    response.headers.update(error.headers or {})
    return response


async def _on_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    return _render(request, ApiError(400, "invalid_value", f"{field}: {first['msg']}", field or None))


def _render(request: Request, error: ApiError) -> Response:
    return Response(shape_at(request.url.path)(error, ""), status_code=error.status, headers=dict(error.headers()))
