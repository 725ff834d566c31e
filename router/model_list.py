"""GET /v1/models from the snapshot: one object for OpenAI's clients and Anthropic's, with what local models add.

Each reads its own fields and none of the other's; `capabilities` alone is a list to one and an object to the other,
which would have to say of each of Anthropic's own abilities yes or no, so Anthropic's clients get null.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import msgspec

from router.capabilities import Ability, abilities
from router.decision import ModelRoutes
from router.permissions import sees
from router.request import Identity
from router.view import GatewayView


class ModelObject(msgspec.Struct, frozen=True, kw_only=True):
    """`root`: the model that this name stands for. `nodes`: those with a ready engine of it; empty while none is."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    context_length: int | None
    max_model_len: int | None
    capabilities: list[Ability] | None
    nodes: list[str]
    state: str
    root: str
    type: Literal["model"] = "model"
    display_name: str
    created_at: str
    lifecycle: Literal["active"] = "active"
    max_input_tokens: int | None
    max_tokens: int | None  # of an answer, to a prompt of nothing


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    object: Literal["list"] = "list"
    data: list[ModelObject]
    has_more: bool
    first_id: str | None
    last_id: str | None


class Page(msgspec.Struct, frozen=True):
    """What part of the list is asked for, as Anthropic's clients say it. Whoever does not gets all of it."""

    limit: int | None = None
    after_id: str | None = None
    before_id: str | None = None


def listed(view: GatewayView, identity: Identity) -> Iterator[tuple[str, ModelRoutes]]:
    """Every name that this caller may ask for, in order, with the model that it stands for."""
    for name, routes in sorted(view.table.names.items()):
        if sees(identity, name, routes.view.name):
            yield name, routes


def model_list(view: GatewayView, identity: Identity, page: Page, anthropic: bool) -> ModelList:
    """An id that is gone since the page before still says where it was: names are in order."""
    found = list(listed(view, identity))
    if page.after_id is not None:
        found = [one for one in found if one[0] > page.after_id]
    if page.before_id is not None:
        found = [one for one in found if one[0] < page.before_id]
    part = found
    if page.limit is not None:
        part = found[: page.limit] if page.before_id is None else found[-page.limit :]
    data = [model_object(view, name, routes, anthropic) for name, routes in part]
    first, last = (data[0].id, data[-1].id) if data else (None, None)
    return ModelList(data=data, has_more=len(part) < len(found), first_id=first, last_id=last)


def routes_listed(view: GatewayView, identity: Identity, name: str) -> ModelRoutes | None:
    routes = view.table.names.get(name)
    return routes if routes is not None and sees(identity, name, routes.view.name) else None


def timestamp(wall_s: float) -> str:
    """RFC 3339."""
    return datetime.fromtimestamp(wall_s, UTC).isoformat().replace("+00:00", "Z")


def model_object(view: GatewayView, name: str, routes: ModelRoutes, anthropic: bool) -> ModelObject:
    model = routes.view
    return ModelObject(
        id=name,
        created=model.created_s,
        owned_by=view.cluster.cluster if view.cluster is not None else "",
        context_length=model.context_tokens,
        max_model_len=model.context_tokens,
        capabilities=None if anthropic else abilities(model.capabilities, [one.lacks for one in routes.candidates]),
        nodes=sorted({candidate.node_id for candidate in routes.candidates}),
        state=model.state,
        root=model.name,
        display_name=name,
        created_at=timestamp(model.created_s),
        max_input_tokens=model.context_tokens,
        max_tokens=model.context_tokens,
    )
