"""The gateway's own OpenAPI: what the hot routes take and give, and who may ask each route.

Bodies come from the very schemas that the dialects decode with, and scopes from the table that the guard asks, so the
document cannot say other than what is done.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute

from router.dialects.chat import ChatBody
from router.dialects.completions import CompletionBody
from router.errors import ErrorEnvelope
from router.openapi_answers import ChatAnswer, ChatChunk, CompletionAnswer
from router.permissions import NEEDED
from router.request import Api

ABOUT = (
    "Errors of every kind have the same envelope. A path that is not here is a 404, another method on one that is, a "
    "405; whoever shows no key gets a 401 instead, but for /healthz and /readyz. Unknown fields of a body are refused, "
    "never ignored."
)

Document = dict[str, Any]  # JSON that FastAPI goes on to merge

_REFERENCE = "#/components/schemas/{name}"
_BODIES: Mapping[Api, type] = {"chat": ChatBody, "completions": CompletionBody}
_ANSWERS: Mapping[Api, type] = {"chat": ChatAnswer, "completions": CompletionAnswer}
_CHUNKS: Mapping[Api, type] = {"chat": ChatChunk, "completions": CompletionAnswer}
_SUMMARIES: Mapping[Api, str] = {"chat": "Chat Completions", "completions": "Completions"}
_TYPES = (*_BODIES.values(), *_ANSWERS.values(), ChatChunk, ErrorEnvelope)

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of the operator's issuer."},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "An API key."},
}
_RETRY = {"retry-after": {"description": "Seconds until it is worth asking again.", "schema": {"type": "integer"}}}
_LEFT: Document = {
    f"x-ratelimit-{what}-{unit}": {"description": "Where this key has such a limit.", "schema": {"type": "string"}}
    for what in ("limit", "remaining", "reset")
    for unit in ("requests", "tokens")
}
_REQUEST_ID = {"x-request-id": {"description": "Ours, as in the gateway's log.", "schema": {"type": "string"}}}
_ERRORS: Mapping[str, tuple[str, Document]] = {
    "BadRequest": ("The request is not valid; `param` names the field.", {}),
    "NoKey": ("No key, or none that is valid.", {"www-authenticate": {"schema": {"type": "string"}}}),
    "Forbidden": ("This key may not do that.", {}),
    "NotFound": ("No such model, or none that this key may use.", {}),
    "Slow": ("The request did not arrive in time.", {}),
    "TooLarge": ("The body is too large.", {}),
    "Limited": ("A limit is reached, or every engine is full.", {**_RETRY, **_LEFT}),
    "HeadTooLarge": ("The request's head is too large.", {}),
    "EngineFailed": ("The engine failed on this request.", {}),
    "NotReady": ("Nothing can serve this at present.", _RETRY),
    "EngineSilent": ("The engine did not answer in time.", {}),
}
_ANY_ROUTE = {"400": "BadRequest", "408": "Slow", "431": "HeadTooLarge"}
_GUARDED = {"401": "NoKey", "403": "Forbidden", "503": "NotReady"}
_HOT = {"404": "NotFound", "413": "TooLarge", "429": "Limited", "502": "EngineFailed", "504": "EngineSilent"}
MODEL_NOT_FOUND: Document = {"responses": {"404": {"$ref": "#/components/responses/NotFound"}}}


class DocumentedApp(FastAPI):
    """FastAPI, whose document also says what FastAPI cannot know."""

    def openapi(self) -> Document:
        if self.openapi_schema is None:
            self.openapi_schema = _complete(super().openapi(), self)
        return self.openapi_schema


def hot_operation(api: Api) -> Document:
    """Body and answers of a hot route, to merge into its operation."""
    content = {
        "application/json": {"schema": _schemas()[_ANSWERS[api]]},
        "text/event-stream": {"schema": _event(_CHUNKS[api])},
    }
    return {
        "summary": _SUMMARIES[api],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _schemas()[_BODIES[api]]}}},
        "responses": {
            "200": {"description": "The answer, or a stream of it.", "headers": dict(_LEFT), "content": content},
            **_refer(_HOT),
        },
    }


def _event(chunk: type) -> Document:
    """Each event of a stream: before OpenAPI 3.2 that is what the schema of a stream describes."""
    said = {
        "type": "string",
        "description": "A chunk, or an error in its envelope.",
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": [_schemas()[chunk], _schemas()[ErrorEnvelope]]},
    }
    data = {"anyOf": [{"const": "[DONE]", "description": "The last."}, said]}
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def text_answer(media_type: str) -> Document:
    """An answer that is no JSON, to merge into its operation."""
    return {"responses": {"200": {"content": {media_type: {"schema": {"type": "string"}}}}}}


def _complete(document: Document, app: FastAPI) -> Document:
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _settle(document["paths"][route.path_format][method.lower()], NEEDED.get(route.path))
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for ours in ("HTTPValidationError", "ValidationError"):
        schemas.pop(ours, None)
    schemas.update(_components())
    components["responses"] = {name: _error(*said) for name, said in _ERRORS.items()}
    components["securitySchemes"] = _SCHEMES
    return document


def _settle(operation: Document, scope: str | None) -> None:
    """What holds for every route: an open one asks for no key, the others for one with their scope."""
    responses = operation["responses"]
    responses.pop("422", None)  # what is not valid is a 400 here
    responses.update(_refer(_ANY_ROUTE))
    if scope is not None:
        operation["security"] = [{scheme: [scope]} for scheme in _SCHEMES]
        responses.update(_refer(_GUARDED))
    for response in responses.values():
        if "$ref" not in response:
            response.setdefault("headers", {}).update(_REQUEST_ID)
    operation["responses"] = dict(sorted(responses.items()))


def _error(description: str, headers: Document) -> Document:
    content = {"application/json": {"schema": {"$ref": _REFERENCE.format(name="ErrorEnvelope")}}}
    return {"description": description, "headers": {**_REQUEST_ID, **headers}, "content": content}


def _refer(names: Mapping[str, str]) -> Document:
    return {status: {"$ref": f"#/components/responses/{name}"} for status, name in names.items()}


@cache
def _generated() -> tuple[tuple[Document, ...], Document]:
    schemas, components = msgspec.json.schema_components(_TYPES, schema_hook=_any_json, ref_template=_REFERENCE)
    return tuple(schemas), components


def _schemas() -> dict[type, Document]:
    return dict(zip(_TYPES, _generated()[0], strict=True))


def _components() -> Document:
    return _generated()[1]


def _any_json(kind: type) -> Document:
    if kind is not object:
        raise NotImplementedError
    return {"description": "Any JSON value."}
