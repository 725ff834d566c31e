"""The part of /api/v1 that is about machines as such: cordon, uncordon, drain, label, the end of their logs; and what
gateways found out about engines."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Protocol

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from cluster.admin_wire import AdminFault, DoubtsNoted, ErrorCode, FaultBody, NodeLog
from cluster.doubts import EngineDoubt
from cluster.link import LinkError, OrderRefusedError
from cluster.wish_desk import UnknownNodeError
from cluster.wishes import Duty, NodeWish
from nodes.snapshot import EngineId, NodeId

DUTIES: dict[str, Duty] = {"cordon": "cordon", "uncordon": "serve", "drain": "drain"}
LabelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._/-]{0,62}$")]
LabelValue = Annotated[str, Field(max_length=128)]


class NodeControl(Protocol):
    """What an operator may do to a machine. Raises UnknownNodeError."""

    def set_duty(self, node_id: NodeId, duty: Duty) -> NodeWish: ...

    def set_labels(self, node_id: NodeId, changes: Mapping[str, str | None]) -> NodeWish:
        """None takes a label away."""
        ...

    async def tail(self, node_id: NodeId, engine_id: EngineId | None, lines: int) -> str:
        """Raises LinkError."""
        ...

    def note_doubts(self, doubts: Sequence[EngineDoubt]) -> None:
        """What a gateway found out about engines; it holds for a few seconds."""
        ...


class DoubtBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    engine_id: Annotated[str, Field(max_length=256)]
    generation: int
    reason: Annotated[str, Field(max_length=1024)]


class DoubtsBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    doubts: Annotated[list[DoubtBody], Field(max_length=1024)]


class LabelsBody(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    changes: dict[LabelName, LabelValue | None]


def add_node_routes(app: FastAPI, nodes: NodeControl) -> None:
    for verb, duty in DUTIES.items():
        _add_duty(app, nodes, verb, duty)

    @app.put("/api/v1/nodes/{name}/labels")
    async def label(name: str, body: LabelsBody) -> Response:
        return _json(nodes.set_labels(NodeId(name), body.changes))

    @app.get("/api/v1/nodes/{name}/logs")
    async def logs(name: str, engine: str | None = None, lines: Annotated[int, Query(ge=1, le=2000)] = 100) -> Response:
        return _json(NodeLog(await nodes.tail(NodeId(name), EngineId(engine) if engine else None, lines)))

    @app.post("/api/v1/doubts")
    async def doubt(body: DoubtsBody) -> Response:
        nodes.note_doubts([EngineDoubt(EngineId(one.engine_id), one.generation, one.reason) for one in body.doubts])
        return _json(DoubtsNoted(len(body.doubts)))

    @app.exception_handler(UnknownNodeError)
    async def unknown(_: Request, error: UnknownNodeError) -> Response:
        return _fault(404, "not_found", str(error))

    @app.exception_handler(LinkError)
    async def unreachable(_: Request, error: LinkError) -> Response:
        if isinstance(error, OrderRefusedError):
            return _fault(404, "not_found", str(error))
        return _fault(503, "node_unreachable", str(error))


def _add_duty(app: FastAPI, nodes: NodeControl, verb: str, duty: Duty) -> None:
    async def set_duty(name: str) -> Response:
        return _json(nodes.set_duty(NodeId(name), duty))

    app.add_api_route(f"/api/v1/nodes/{{name}}/{verb}", set_duty, methods=["POST"], response_model=None)


def _json(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


def _fault(status: int, code: ErrorCode, message: str) -> Response:
    return _json(FaultBody(AdminFault(code, message)), status)
