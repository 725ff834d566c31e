"""`POST /api/v1/route/explain`: where a request of this size would go now, and why. None is sent, no place taken."""

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response

from router.asking import choose
from router.borders import class_set
from router.decision_record import DecisionNote, record_of
from router.dialects.common import decode
from router.dispatcher import Dispatcher
from router.explain import Explanation, explain
from router.guard import body_of, caller, json_answer
from router.openapi import json_operation
from router.outlook import question_of
from router.request import Arrival, Identity, InferenceRequest, Parsed, SizeOnly
from router.route_wire import RouteQuestion
from router.scoring import CHARACTERS_PER_TOKEN

PATH = "/api/v1/route/explain"
BODY_LIMIT_BYTES = 16_384
_questions = msgspec.json.Decoder(RouteQuestion)


def add_route_explain(app: FastAPI, dispatcher: Dispatcher) -> None:
    @app.post(PATH, response_model=None, openapi_extra=json_operation(PATH))
    async def explain_route(request: Request) -> Response:
        question = decode(_questions, await body_of(request, BODY_LIMIT_BYTES))
        said = foreseen(dispatcher, caller(request), question)
        return json_answer(said)


def foreseen(dispatcher: Dispatcher, identity: Identity, asked: RouteQuestion) -> Explanation:
    """As this gateway would decide at this moment. Raises ApiError 400, 403, 404, 503 as a request would."""
    context, clock = dispatcher.context, dispatcher.context.clock
    added = frozenset(asked.data_classes)
    classes = class_set(identity.data_class) | added
    dispatcher.check_classes(classes, identity)
    routes = dispatcher.routes_for(identity, asked.model, asked.prompt_tokens, classes)
    characters = asked.prompt_tokens * CHARACTERS_PER_TOKEN
    parsed = Parsed(asked.model, True, False, characters, asked.output_tokens, SizeOnly())
    arrival = Arrival("", None, "chat", identity, clock.monotonic_s(), clock.wall_s(), asked.session, added=added)
    request = InferenceRequest(arrival, routes.view.name, parsed, asked.prompt_tokens)
    decision = choose(context, routes, request, question_of(request, choice=True), arrival.arrived_s)
    return explain(record_of(DecisionNote("", arrival.arrived_wall_s, request.model, decision)))
