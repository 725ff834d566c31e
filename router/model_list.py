"""GET /v1/models from the snapshot: OpenAI's fields and the few more that clients of local models look for."""

from typing import Literal

from pydantic import BaseModel

from router.permissions import sees
from router.request import Identity
from router.view import GatewayView


class ModelObject(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    context_length: int | None
    max_model_len: int | None
    capabilities: list[str]
    nodes: list[str]  # those with a ready engine; empty while none is
    state: str
    root: str


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelObject]


def model_objects(view: GatewayView, identity: Identity) -> list[ModelObject]:
    """Every name this caller may ask for. An alias says in `root` which model it stands for."""
    if view.cluster is None:
        return []
    return [
        ModelObject(
            id=name,
            created=routes.view.created_s,
            owned_by=view.cluster.cluster,
            context_length=routes.view.context_tokens,
            max_model_len=routes.view.context_tokens,
            capabilities=sorted(routes.view.capabilities),
            nodes=sorted({candidate.node_id for candidate in routes.candidates}),
            state=routes.view.state,
            root=routes.view.name,
        )
        for name, routes in sorted(view.table.names.items())
        if sees(identity, name, routes.view.name)
    ]
