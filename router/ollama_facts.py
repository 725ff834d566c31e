"""What Ollama's clients are told of models: what there is, what runs, and what one is made of.

A text that is not known is empty, as Ollama's own are; a number that is not known is left out.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from inventory.catalog import HeldModel
from nodes.snapshot import EngineSnapshot
from router.capabilities import Ability, abilities
from router.decision import ModelRoutes
from router.dialects.common import Closed, Dropped
from router.dialects.ollama import LATEST
from router.model_list import listed, timestamp
from router.request import Identity
from router.view import GatewayView

SPOKEN = "0.12.11"  # the Ollama whose API this is: its clients refuse to talk to what is older than they know

ModelName = Annotated[str, Meta(max_length=512)]


class ShowBody(Closed):
    """`name` is what older clients call it, and empty where it is not used. The rest asks what nobody here knows."""

    model: ModelName | None = None
    name: ModelName | None = None
    verbose: Dropped = None
    system: Dropped = None
    template: Dropped = None
    options: Dropped = None


class Version(msgspec.Struct, frozen=True):
    version: str = SPOKEN


class Details(msgspec.Struct, frozen=True, kw_only=True):
    parent_model: str = ""
    format: str = ""
    family: str = ""
    families: list[str] = []
    parameter_size: str = ""
    quantization_level: str = ""


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A model that may be asked for."""

    name: str
    model: str
    modified_at: str
    size: int | UnsetType = UNSET
    digest: str
    details: Details


class Tags(msgspec.Struct, frozen=True):
    models: list[Tag]


class Resident(msgspec.Struct, frozen=True, kw_only=True):
    """A model that an engine has now. How long it stays depends on who asks, so no time is told."""

    name: str
    model: str
    size: int | UnsetType = UNSET
    digest: str
    details: Details
    size_vram: int | UnsetType = UNSET
    context_length: int


class Residents(msgspec.Struct, frozen=True):
    models: list[Resident]


class Shown(msgspec.Struct, frozen=True):
    modified_at: str
    details: Details
    model_info: dict[str, str | int]
    capabilities: list[str]


_NAMES: Mapping[Ability, str] = MappingProxyType(
    {"chat": "completion", "completion": "completion", "tools": "tools", "vision": "vision", "embed": "embedding"}
)


def tags(view: GatewayView, identity: Identity) -> Tags:
    held = _held(view)
    return Tags([_tag(name, routes, held.get(routes.view.name)) for name, routes in listed(view, identity)])


def residents(view: GatewayView, identity: Identity) -> Residents:
    held, engines = _held(view), _engines(view)
    return Residents(
        [
            _resident(name, routes, held.get(routes.view.name), engines)
            for name, routes in listed(view, identity)
            if routes.candidates
        ]
    )


def shown(view: GatewayView, routes: ModelRoutes) -> Shown:
    model, held = routes.view, _held(view).get(routes.view.name)
    shape = held.shape if held is not None else None
    family = shape.architecture if shape is not None else "unknown"
    info: dict[str, str | int | None] = {
        "general.architecture": family,
        f"{family}.context_length": model.context_tokens,  # that it is served with: what it was made for helps nobody
        f"{family}.block_count": shape.layers if shape is not None else None,
        f"{family}.embedding_length": shape.embedding_size if shape is not None else None,
        f"{family}.vocab_size": shape.vocabulary_size if shape is not None else None,
    }
    can = abilities(model.capabilities, [candidate.lacks for candidate in routes.candidates])
    return Shown(
        timestamp(model.created_s),
        _details(held),
        {key: value for key, value in info.items() if value is not None},
        list(dict.fromkeys(_NAMES[one] for one in can if one in _NAMES)),
    )


def tagged(name: str) -> str:
    """As Ollama lists it: a name always has a tag."""
    return name if ":" in name else name + LATEST


def _tag(name: str, routes: ModelRoutes, held: HeldModel | None) -> Tag:
    return Tag(
        name=tagged(name),
        model=tagged(name),
        modified_at=timestamp(routes.view.created_s),
        size=UNSET if held is None else held.size_bytes,
        digest=_digest(routes),
        details=_details(held),
    )


def _resident(
    name: str, routes: ModelRoutes, held: HeldModel | None, engines: Mapping[str, EngineSnapshot]
) -> Resident:
    having = [engines[candidate.engine_id] for candidate in routes.candidates]
    main, graphics = _sum(engine.memory_bytes for engine in having), _sum(engine.vram_bytes for engine in having)
    return Resident(
        name=tagged(name),
        model=tagged(name),
        size=UNSET if main is None and graphics is None else (main or 0) + (graphics or 0),
        digest=_digest(routes),
        details=_details(held),
        size_vram=UNSET if graphics is None else graphics,
        context_length=max(candidate.context_tokens for candidate in routes.candidates),
    )


def _details(held: HeldModel | None) -> Details:
    if held is None:
        return Details()
    if held.shape is None:
        return Details(format=held.format)
    family = held.shape.architecture
    return Details(format=held.format, family=family, families=[family], quantization_level=held.shape.quantisation)


def _digest(routes: ModelRoutes) -> str:
    return routes.view.ref.artifact_id if routes.view.ref is not None else ""


def _held(view: GatewayView) -> dict[str, HeldModel]:
    """By name, the artifact that is served rather than another of the name."""
    nodes = view.cluster.nodes if view.cluster is not None else ()
    served = {model.ref.artifact_id for model in (view.cluster.models if view.cluster else ()) if model.ref is not None}
    copies = [held for node in nodes if node.snapshot is not None for held in node.snapshot.models]
    return {held.ref.name: held for held in sorted(copies, key=lambda one: one.ref.artifact_id in served)}


def _engines(view: GatewayView) -> dict[str, EngineSnapshot]:
    nodes = view.cluster.nodes if view.cluster is not None else ()
    return {engine.engine_id: engine for node in nodes if node.snapshot for engine in node.snapshot.engines}


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = [size for size in sizes if size is not None]
    return sum(known) if known else None
