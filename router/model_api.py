"""GET /v1/models and one of them: what this caller may ask for."""

from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from router.decision import ModelRoutes
from router.dispatcher import Dispatcher
from router.errors import unknown_model
from router.guard import caller, json_answer
from router.model_list import Page, listed, model_list, model_object, routes_listed
from router.openapi import json_operation
from router.request import Identity

MODELS, MODEL = "/v1/models", "/v1/models/{model_id:path}"


def add_model_routes(app: FastAPI, dispatcher: Dispatcher) -> None:
    @app.get(MODELS, response_model=None, openapi_extra=json_operation(MODELS))
    async def list_models(
        request: Request,
        limit: Annotated[int | None, Query(ge=1, le=1000)] = None,
        after_id: str | None = None,
        before_id: str | None = None,
    ) -> Response:
        page = Page(limit, after_id, before_id)
        return json_answer(model_list(dispatcher.view, caller(request), page, _speaks_anthropic(request)))

    @app.get(MODEL, response_model=None, openapi_extra=json_operation(MODEL))
    async def get_model(model_id: str, request: Request) -> Response:
        routes = routes_of(dispatcher, caller(request), model_id)
        return json_answer(model_object(dispatcher.view, model_id, routes, _speaks_anthropic(request)))


def routes_of(dispatcher: Dispatcher, identity: Identity, name: str) -> ModelRoutes:
    """Of a name that is listed for this caller. Raises ApiError 404."""
    dispatcher.check_name(identity, name)
    routes = routes_listed(dispatcher.view, identity, name)
    if routes is None:  # rules lead this caller somewhere, but it is listed for others
        raise unknown_model(name, (known for known, _ in listed(dispatcher.view, identity)))
    return routes


def _speaks_anthropic(request: Request) -> bool:
    return "anthropic-version" in request.headers
