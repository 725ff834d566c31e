"""The gateway's own OpenAPI: what the hot routes take and give, and who may ask each route.

Bodies come from the very schemas that the dialects decode with, and scopes from the table that the guard asks, so the
document cannot say other than what is done.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI
from fastapi.routing import APIRoute

from cluster.audit_wire import AuditVerdict
from cluster.fit_frontier import FrontierDocument
from cluster.fit_wire import FitDocument
from router.batches.upload import PURPOSES
from router.batches.wire import BatchBody, BatchList, BatchObject, FileDeleted, FileList, FileObject
from router.dashboard.audit_book import AuditBook
from router.dashboard.key_book import KeyBook
from router.dashboard.rows import RequestRows, RequestTold
from router.dashboard.shelf import Shelf
from router.dashboard.state import State
from router.dashboard.usage_book import UsageBook
from router.dashboard.wire import Acted, FitQuestion, Login, LoginWays, SessionEnded, SessionFacts
from router.dialects import DIALECTS
from router.dialects.chat import ChatBody
from router.dialects.completions import CompletionBody
from router.dialects.embeddings import EmbeddingsAnswer, EmbeddingsBody
from router.dialects.error_shapes import AnthropicError, OllamaError, prefix_of
from router.dialects.messages import CountBody, MessagesBody
from router.dialects.messages_voice import Event as MessagesEvent
from router.dialects.messages_voice import Message
from router.dialects.ollama import OllamaChat, OllamaGenerate
from router.dialects.ollama_embed import Embedded, OllamaEmbed, OllamaEmbeddings, OneEmbedded
from router.dialects.ollama_voice import ChatLine, GenerateLine
from router.dialects.rerank import RerankAnswer, RerankBody
from router.dialects.responses import ResponsesBody
from router.dialects.responses_answer import Event as ResponsesEvent
from router.dialects.responses_answer import Response
from router.errors import ErrorEnvelope
from router.explain import Explanation
from router.model_list import ModelList, ModelObject
from router.ollama_facts import Residents, ShowBody, Shown, Tags, Version
from router.openapi_answers import ChatAnswer, ChatChunk, CompletionAnswer, ScrapeTarget
from router.openapi_documents import DOCUMENT_ROUTES
from router.openapi_privacy import PRIVACY_ROUTES
from router.permissions import NEEDED
from router.request import Api
from router.route_wire import RouteQuestion
from router.token_wire import CountAnswer, DetokenizeAnswer, DetokenizeBody, TokenizeAnswer, TokenizeBody

ABOUT = (
    "Errors of every kind have the envelope of their dialect. A path that is not here is a 404, another method on one "
    "that is, a 405; whoever shows no key gets a 401 instead, but for /healthz, /readyz and the dashboard's page below "
    "/dashboard/. Unknown fields of a body are refused, never ignored."
)

Document = dict[str, Any]  # JSON that FastAPI goes on to merge

LINES = "application/x-ndjson"
_REFERENCE = "#/components/schemas/{name}"


class _Hot(NamedTuple):
    """What a hot route takes and gives."""

    summary: str
    body: object
    answer: object
    event: object = None  # of a stream; None: there is none
    end: str | None = None  # said after the last event of a stream
    stream: str = "text/event-stream"


_HOT_ROUTES: Mapping[Api, _Hot] = {
    "chat": _Hot("Chat Completions", ChatBody, ChatAnswer, ChatChunk, "[DONE]"),
    "completions": _Hot("Completions", CompletionBody, CompletionAnswer, CompletionAnswer, "[DONE]"),
    "messages": _Hot("Anthropic's Messages", MessagesBody, Message, MessagesEvent),
    "responses": _Hot("Responses", ResponsesBody, Response, ResponsesEvent, "[DONE]"),
    "ollama_chat": _Hot("Ollama's chat", OllamaChat, ChatLine, ChatLine, stream=LINES),
    "ollama_generate": _Hot("Ollama's generate", OllamaGenerate, GenerateLine, GenerateLine, stream=LINES),
    "embeddings": _Hot("Embeddings", EmbeddingsBody, EmbeddingsAnswer),
    "rerank": _Hot("Documents in the order of a query", RerankBody, RerankAnswer),
    "ollama_embed": _Hot("Ollama's embeddings", OllamaEmbed, Embedded),
    "ollama_embeddings": _Hot("Ollama's embeddings as they were before", OllamaEmbeddings, OneEmbedded),
}


class _Json(NamedTuple):
    """What another route takes and gives."""

    summary: str
    body: type | None
    answer: type
    said: str
    errors: Mapping[str, str]


_NAMED = {"404": "NotFound"}
_ASKED = {"404": "NotFound", "413": "TooLarge"}
_OF_ENGINE = {**_ASKED, "429": "Limited", "501": "NotSupported", "502": "EngineFailed", "504": "EngineSilent"}
_SESSION = {"401": "NoKey", "403": "Forbidden"}
_LOGIN = _SESSION | {"413": "TooLarge", "429": "Limited", "503": "NotReady"}
_JSON_ROUTES: Mapping[str, _Json] = {
    "POST /dashboard/session": _Json(
        "Log in: a cookie then stands for the key.", Login, SessionFacts, "The session.", _LOGIN
    ),
    "GET /dashboard/session": _Json("Whose session it is.", None, SessionFacts, "The session.", _SESSION),
    "DELETE /dashboard/session": _Json("Log out.", None, SessionEnded, "It is over.", _SESSION),
    "/dashboard/ways": _Json("How people may log in beside keys.", None, LoginWays, "The ways.", {}),
    "/api/v1/state": _Json("The cluster as it is.", None, State, "Without what is unknown.", {}),
    "/api/v1/fit": _Json("Whether a model fits, and where.", FitQuestion, FitDocument, "By machine.", _ASKED),
    "/api/v1/fit/frontier": _Json(
        "How far machines go with a model.", FitQuestion, FrontierDocument, "By machine.", _ASKED
    ),
    "/api/v1/artifacts": _Json("Models on disk, and where they are loaded.", None, Shelf, "By model.", {}),
    "/api/v1/keys": _Json("The keys, never their secrets.", None, KeyBook, "With their limits.", {}),
    "/api/v1/usage": _Json("Requests and tokens, summed.", None, UsageBook, "By what was asked for.", {}),
    "/api/v1/audit": _Json("What is on record, the newest first.", None, AuditBook, "A page of it.", {}),
    "/api/v1/audit/verdict": _Json("Whether that is as it was written.", None, AuditVerdict, "The verdict.", {}),
    **{
        f"/api/v1/{path}": _Json(summary, None, Acted, "The head has taken it up.", _NAMED)
        for path, summary in {
            "nodes/{name}/cordon": "Start nothing more on a machine.",
            "nodes/{name}/uncordon": "Let it take work again.",
            "nodes/{name}/drain": "Empty it.",
            "models/{name}/load": "Let a model serve again, or wake it.",
            "models/{name}/unload": "Free its memory until it is loaded again.",
        }.items()
    },
    "/api/v1/decisions": _Json("Requests that ended, the newest first.", None, RequestRows, "The list.", {}),
    "/api/v1/decisions/{request_id}": _Json(
        "One of them, and why it went where it went.", None, RequestTold, "The request.", _NAMED
    ),
    "/api/v1/route/explain": _Json(
        "Where a request would go, and why; none is sent.", RouteQuestion, Explanation, "The decision.", _ASKED
    ),
    "/v1/messages/count_tokens": _Json(
        "How many tokens Anthropic's message would be.", CountBody, CountAnswer, "The count.", _OF_ENGINE
    ),
    "/tokenize": _Json("A prompt as tokens.", TokenizeBody, TokenizeAnswer, "The tokens.", _OF_ENGINE),
    "/detokenize": _Json("Tokens as text.", DetokenizeBody, DetokenizeAnswer, "The text.", _OF_ENGINE),
    "POST /v1/files": _Json(
        "A file, for batches or vector stores.", None, FileObject, "The file.", {"413": "TooLarge"}
    ),
    "GET /v1/files": _Json("The files of this key.", None, FileList, "The list.", {}),
    "GET /v1/files/{file_id}": _Json("One of them.", None, FileObject, "The file.", _NAMED),
    "DELETE /v1/files/{file_id}": _Json("Remove it.", None, FileDeleted, "It is gone.", _NAMED | {"409": "InUse"}),
    "POST /v1/batches": _Json("Requests that nobody waits for.", BatchBody, BatchObject, "The batch.", _ASKED),
    "GET /v1/batches": _Json("The batches of this key.", None, BatchList, "The list.", {}),
    "GET /v1/batches/{batch_id}": _Json("One of them.", None, BatchObject, "The batch.", _NAMED),
    "POST /v1/batches/{batch_id}/cancel": _Json("End it.", None, BatchObject, "The batch.", _NAMED),
    "/v1/models": _Json("The models that this key may use.", None, ModelList, "The list.", {}),
    "/v1/models/{model_id:path}": _Json("One of them.", None, ModelObject, "The model.", {"404": "NotFound"}),
    **{name: _Json(*row) for name, row in (*DOCUMENT_ROUTES.items(), *PRIVACY_ROUTES.items())},
    "/api/v1/prometheus-sd": _Json("For Prometheus' HTTP discovery.", None, list[ScrapeTarget], "The targets.", {}),
    "/api/tags": _Json("Ollama's list of models.", None, Tags, "The list.", {}),
    "/api/ps": _Json("Models that an engine has now.", None, Residents, "The list.", {}),
    "/api/show": _Json("What a model is made of.", ShowBody, Shown, "What is known.", _ASKED),
    "/api/version": _Json("Of Ollama, whose API this is.", None, Version, "The version.", {}),
}
_ENVELOPES: Mapping[str, type] = {"": ErrorEnvelope, "Anthropic": AnthropicError, "Ollama": OllamaError}
_TYPES: tuple[Any, ...] = tuple(
    dict.fromkeys(
        [
            *(kind for hot in _HOT_ROUTES.values() for kind in (hot.body, hot.answer, hot.event) if kind is not None),
            *_ENVELOPES.values(),
            *(kind for route in _JSON_ROUTES.values() for kind in (route.body, route.answer) if kind is not None),
        ]
    )
)

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
    "NotFound": ("No such model, file, batch or store, or none that this key may use.", {}),
    "InUse": ("Something still uses it.", {}),
    "Slow": ("The request did not arrive in time.", {}),
    "TooLarge": ("The body is too large.", {}),
    "Limited": ("A limit is reached, or every engine is full.", {**_RETRY, **_LEFT}),
    "HeadTooLarge": ("The request's head is too large.", {}),
    "NotSupported": ("The engine cannot do that.", {}),
    "EngineFailed": ("The engine failed on this request.", {}),
    "NotReady": ("Nothing can serve this at present.", _RETRY),
    "EngineSilent": ("The engine did not answer in time.", {}),
}
_ANY_ROUTE = {"400": "BadRequest", "408": "Slow", "431": "HeadTooLarge"}
_GUARDED = {"401": "NoKey", "403": "Forbidden", "503": "NotReady"}
_HOT = {"404": "NotFound", "413": "TooLarge", "429": "Limited", "502": "EngineFailed", "504": "EngineSilent"}


class DocumentedApp(FastAPI):
    """FastAPI, whose document also says what FastAPI cannot know."""

    def openapi(self) -> Document:
        if self.openapi_schema is None:
            self.openapi_schema = _complete(super().openapi(), self)
        return self.openapi_schema


def hot_operation(api: Api) -> Document:
    """Body and answers of a hot route, to merge into its operation."""
    hot, dialect = _HOT_ROUTES[api], DIALECTS[api]
    prefix = prefix_of(dialect.path)
    content = {"application/json": {"schema": _schemas()[hot.answer]}}
    if hot.event is not None:
        content[hot.stream] = {"schema": _event(hot, _ENVELOPES[prefix])}
    said = "The answer, or a stream of it." if hot.event is not None else "The answer."
    return {
        "summary": hot.summary,
        "requestBody": {"required": True, "content": {"application/json": {"schema": _schemas()[hot.body]}}},
        "responses": {
            "200": {"description": said, "headers": dict(_LEFT), "content": content},
            **_refer(_HOT, prefix),
        },
    }


def form_operation(name: str) -> Document:
    """The same where a file comes as a form."""
    form = {
        "type": "object",
        "properties": {
            "file": {"type": "string", "contentMediaType": "application/octet-stream"},
            "purpose": {"enum": list(PURPOSES)},
            "expires_after[anchor]": {"const": "created_at"},
            "expires_after[seconds]": {"type": "integer"},
        },
        "required": ["file", "purpose"],
    }
    body = {"required": True, "content": {"multipart/form-data": {"schema": form}}}
    return json_operation(name) | {"requestBody": body}


def json_operation(name: str) -> Document:
    """Body and answer of a route that is no inference, to merge into its operation. `name` is its path, with a method
    before it where one path has several."""
    route, path = _JSON_ROUTES[name], name.rpartition(" ")[2]
    said: Document = {
        "summary": route.summary,
        "responses": {
            "200": {"description": route.said, "content": {"application/json": {"schema": _schemas()[route.answer]}}},
            **_refer(route.errors, prefix_of(path)),
        },
    }
    if route.body is not None:
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": _schemas()[route.body]}}}
    return said


def _event(hot: _Hot, envelope: type) -> Document:
    """Each event of a stream: before OpenAPI 3.2 that is what the schema of a stream describes. Of lines, all."""
    if hot.stream == LINES:
        return {"type": "string", "description": "An object of the answer a line, or at last an error in its envelope."}
    said = {
        "type": "string",
        "description": "A piece of the answer, or an error in its envelope.",
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": [_schemas()[hot.event], _schemas()[envelope]]},
    }
    data = said if hot.end is None else {"anyOf": [{"const": hot.end, "description": "The last."}, said]}
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def stream_operation(name: str) -> Document:
    """The same of a route whose answer goes on for as long as somebody listens."""
    data = {"type": "string", "contentMediaType": "application/json"}
    event = {"type": "object", "properties": {"event": {"enum": ["snapshot", "delta"]}, "data": data}}
    content = {"text/event-stream": {"schema": event}}
    return {
        "summary": "The state, then what changes of it, as RFC 7396 merge patches.",
        "responses": {
            "200": {"description": "Events.", "content": content},
            **_refer({"429": "Limited"}, prefix_of(name)),
        },
    }


def text_answer(media_type: str) -> Document:
    """An answer that is no JSON, to merge into its operation."""
    return {"responses": {"200": {"content": {media_type: {"schema": {"type": "string"}}}}}}


def bytes_answer() -> Document:
    """An answer that is a file, of whatever kind."""
    said = "The file, with the media type that its name says."
    content = {"*/*": {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}}
    return {"responses": {"200": {"description": said, "content": content}, **_refer(_NAMED)}}


def _complete(document: Document, app: FastAPI) -> Document:
    for route in app.routes:
        if isinstance(route, APIRoute) and route.include_in_schema:
            for method in route.methods or ():
                _settle(document["paths"][route.path_format][method.lower()], route.path)
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for ours in ("HTTPValidationError", "ValidationError"):
        schemas.pop(ours, None)
    schemas.update(_components())
    components["responses"] = {
        prefix + name: _error(envelope, *said)
        for prefix, envelope in _ENVELOPES.items()
        for name, said in _ERRORS.items()
    }
    components["securitySchemes"] = _SCHEMES
    return document


def _settle(operation: Document, path: str) -> None:
    """What holds for every route: an open one asks for no key, the others for one with their scope."""
    scope, prefix = NEEDED.get(path), prefix_of(path)
    responses = operation["responses"]
    responses.pop("422", None)  # what is not valid is a 400 here
    responses.update(_refer(_ANY_ROUTE, prefix))
    if scope is not None:
        operation["security"] = [{scheme: [scope]} for scheme in _SCHEMES]
        responses.update(_refer(_GUARDED, prefix))
    for response in responses.values():
        if "$ref" not in response:
            response.setdefault("headers", {}).update(_REQUEST_ID)
    operation["responses"] = dict(sorted(responses.items()))


def _error(envelope: type, description: str, headers: Document) -> Document:
    content = {"application/json": {"schema": _schemas()[envelope]}}
    return {"description": description, "headers": {**_REQUEST_ID, **headers}, "content": content}


def _refer(names: Mapping[str, str], prefix: str = "") -> Document:
    return {status: {"$ref": f"#/components/responses/{prefix}{name}"} for status, name in names.items()}


@cache
def _generated() -> tuple[tuple[Document, ...], Document]:
    schemas, components = msgspec.json.schema_components(_TYPES, schema_hook=_any_json, ref_template=_REFERENCE)
    return tuple(schemas), components


def _schemas() -> dict[object, Document]:
    return dict(zip(_TYPES, _generated()[0], strict=True))


def _components() -> Document:
    return _generated()[1]


def _any_json(kind: type) -> Document:
    if kind is not object:
        raise NotImplementedError
    return {"description": "Any JSON value."}
