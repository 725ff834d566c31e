"""The dashboard's routes that change something: the head does it, and puts on record for whom."""

from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import FastAPI, Request
from fastapi.responses import Response

from cluster.admin_client import AdminClient
from router.dashboard.head import behalf_of, of_the_head
from router.dashboard.wire import Acted
from router.guard import caller, json_answer
from router.openapi import json_operation

Act = Callable[[AdminClient, str], Awaitable[object]]
Verb = Literal["cordon", "uncordon", "drain"]
VERBS: tuple[Verb, ...] = ("cordon", "uncordon", "drain")


def add_acting_routes(app: FastAPI, head: AdminClient) -> None:
    for verb in VERBS:
        _add(app, head, f"/api/v1/nodes/{{name}}/{verb}", _duty(verb))
    _add(app, head, "/api/v1/models/{name}/load", AdminClient.load_model)
    _add(app, head, "/api/v1/models/{name}/unload", AdminClient.unload_model)


def _duty(verb: Verb) -> Act:
    return lambda head, name: head.set_duty(name, verb)


def _add(app: FastAPI, head: AdminClient, path: str, act: Act) -> None:
    async def acted(request: Request, name: str) -> Response:
        await of_the_head(act(head.on_behalf_of(behalf_of(caller(request))), name), "what the machines do")
        return json_answer(Acted(name))

    app.add_api_route(path, acted, methods=["POST"], response_model=None, openapi_extra=json_operation(path))
