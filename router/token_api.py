"""Routes that count and show tokens: Anthropic's count_tokens, and tokenize and detokenize as vLLM has them."""

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from router.borders import class_set
from router.call_errors import not_there
from router.data_class import classes_of
from router.decision import Candidate
from router.dialects.chat import ChatBody
from router.dialects.chat_messages import check_messages
from router.dialects.common import decode
from router.dialects.guarding import counted_chat, counted_text
from router.dialects.messages import parse_to_count
from router.dispatcher import Dispatcher
from router.errors import invalid, not_ready
from router.guard import body_of, caller, json_answer
from router.openapi import json_operation
from router.token_wire import CountAnswer, DetokenizeAnswer, DetokenizeBody, TokenizeAnswer, TokenizeBody
from router.tokenizing import Tokenizer

COUNT, TOKENIZE, DETOKENIZE = "/v1/messages/count_tokens", "/tokenize", "/detokenize"
_tokenize = msgspec.json.Decoder(TokenizeBody)
_detokenize = msgspec.json.Decoder(DetokenizeBody)


def add_token_routes(app: FastAPI, dispatcher: Dispatcher) -> None:
    @app.post(COUNT, response_model=None, openapi_extra=json_operation(COUNT))
    async def count_tokens(request: Request) -> Response:
        body = parse_to_count(await body_of(request, dispatcher.context.settings.body_limit_bytes))
        check_messages(body.messages)
        tokenizer, _ = _tokenizer(dispatcher, request, body.model)
        safe = counted_chat(body, dispatcher.guard_of(caller(request)))
        return json_answer(CountAnswer(len(await tokenizer.of_chat(safe))))

    @app.post(TOKENIZE, response_model=None, openapi_extra=json_operation(TOKENIZE))
    async def tokenize(request: Request) -> Response:
        body = decode(_tokenize, await body_of(request, dispatcher.context.settings.body_limit_bytes))
        if (body.prompt is None) == (body.messages is None):
            raise invalid("give either `prompt` or `messages`", "prompt")
        tokenizer, engine = _tokenizer(dispatcher, request, body.model)
        guard = dispatcher.guard_of(caller(request))
        if body.messages is not None:
            check_messages(body.messages)
            tokens = await tokenizer.of_chat(counted_chat(ChatBody(body.model, body.messages), guard))
        else:
            tokens = await tokenizer.of_text(counted_text(body.prompt or "", guard))
        return json_answer(TokenizeAnswer(len(tokens), engine.context_tokens, tokens))

    @app.post(DETOKENIZE, response_model=None, openapi_extra=json_operation(DETOKENIZE))
    async def detokenize(request: Request) -> Response:
        body = decode(_detokenize, await body_of(request, dispatcher.context.settings.body_limit_bytes))
        tokenizer, _ = _tokenizer(dispatcher, request, body.model)
        return json_answer(DetokenizeAnswer(await tokenizer.text_of(body.tokens)))


def _tokenizer(dispatcher: Dispatcher, request: Request, model: str) -> tuple[Tokenizer, Candidate]:
    """By the least busy engine that has the model. Raises ApiError 404, 503 where nothing is loaded to count, or 403
    where none is that may see it."""
    context = dispatcher.context
    identity = caller(request)
    classes = class_set(identity.data_class) | classes_of(request.headers.raw)
    dispatcher.check_classes(classes, identity)
    routes = dispatcher.routes_for(identity, model, 0, classes)
    if routes.outside and routes.zones is not None:
        raise not_there(routes.view.name, routes.zones, classes)
    ready = [candidate for candidate in routes.candidates if candidate.engine_id not in context.health.ejected]
    if not ready:
        raise not_ready(f"no engine of `{routes.view.name}` is ready, and counting loads none")
    engine = min(ready, key=lambda one: (context.ledger.in_flight.get(one.engine_id, 0), one.engine_id))
    request_id = dispatcher.ids.next()
    context.witness.saw(engine.node_id, classes, "counted", request_id)
    return Tokenizer(context, engine, request_id), engine
