"""Ollama's routes that only tell: which models there are, which run, what one is, and whose API this is.

Those that would change something are no routes here: what a machine holds and runs is its operator's to say.
"""

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from router.dialects.common import decode
from router.dialects.ollama import bare
from router.dispatcher import Dispatcher
from router.errors import invalid
from router.guard import body_of, caller, json_answer
from router.model_api import routes_of
from router.ollama_facts import ShowBody, Version, residents, shown, tags
from router.openapi import json_operation

TAGS, RESIDENTS, SHOW, VERSION = "/api/tags", "/api/ps", "/api/show", "/api/version"
BODY_LIMIT_BYTES = 16_384
_shows = msgspec.json.Decoder(ShowBody)
_CHANGING = ("/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/blobs/")


def add_ollama_routes(app: FastAPI, dispatcher: Dispatcher) -> None:
    @app.get(TAGS, response_model=None, openapi_extra=json_operation(TAGS))
    async def list_tags(request: Request) -> Response:
        return json_answer(tags(dispatcher.view, caller(request)))

    @app.get(RESIDENTS, response_model=None, openapi_extra=json_operation(RESIDENTS))
    async def list_residents(request: Request) -> Response:
        return json_answer(residents(dispatcher.view, caller(request)))

    @app.post(SHOW, response_model=None, openapi_extra=json_operation(SHOW))
    async def show(request: Request) -> Response:
        body = decode(_shows, await body_of(request, BODY_LIMIT_BYTES))
        asked = bare(body.model or body.name or "")
        if not asked:
            raise invalid("say which `model` to show", "model")
        return json_answer(shown(dispatcher.view, routes_of(dispatcher, caller(request), asked)))

    @app.get(VERSION, response_model=None, openapi_extra=json_operation(VERSION))
    async def version() -> Response:
        return json_answer(Version())


def why_not(path: str) -> str | None:
    """What to say of a path of Ollama's that is no route here for a reason."""
    if path.startswith(_CHANGING):
        return "potluck's models are managed by its operator: `potluck models pull`, and `models` in cluster.yaml"
    return None
