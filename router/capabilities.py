"""What each kind of engine cannot do of what clients ask: from its wire profile, by the names of fields that ask."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from inventory.catalog import Capability, Purpose, purpose_of
from nodes.snapshot import EngineKind
from nodes.wire import WIRE, WireProfile
from router.request import Api, EngineApi, Feature


def _lacking(wire: WireProfile) -> frozenset[Feature]:
    can: dict[Feature, bool] = {
        "tools": wire.tools != "no",
        "tool_choice": wire.tool_choice != "no",
        "response_format": wire.json_schema != "no",
        "n": wire.several_choices,
        "logprobs": wire.logprobs == "openai",
        "logit_bias": wire.logit_bias,
        "media": wire.vision != "no",
        "embeddings": "embeddings" in wire.endpoints,
        "rerank": "rerank" in wire.endpoints,
        "dimensions": wire.dimensions != "no",
        "token_ids": wire.token_ids,
    }
    return frozenset(feature for feature, able in can.items() if not able)


LACKS: Mapping[EngineKind, frozenset[Feature]] = MappingProxyType({kind: _lacking(wire) for kind, wire in WIRE.items()})


def lacks_of(kind: EngineKind, model: frozenset[Capability]) -> frozenset[Feature]:
    """Of an engine that runs a model. Where its template has no tools, some kinds leave out one that must be called and
    do not say so. Of a model that no machine has yet nothing is known."""
    if model and "tools" not in model and WIRE[kind].tool_choice == "if_model":
        return LACKS[kind] | {"tool_choice"}
    return LACKS[kind]


_FIELDS: Mapping[tuple[Api, Feature], str] = MappingProxyType(
    {
        ("messages", "response_format"): "output_config.format",
        ("responses", "response_format"): "text.format",
        ("responses", "media"): "input",
        ("responses", "logprobs"): "top_logprobs",
        ("ollama_chat", "response_format"): "format",
        ("ollama_generate", "response_format"): "format",
        ("ollama_generate", "media"): "images",
        ("embeddings", "token_ids"): "input",
    }
)
_MODEL: frozenset[Feature] = frozenset({"embeddings", "rerank"})  # asked for by asking this model at all

_DOING: Mapping[EngineApi, tuple[frozenset[Capability], str]] = MappingProxyType(
    {
        "chat": (frozenset({"chat", "completion"}), "write text"),
        "completions": (frozenset({"chat", "completion"}), "write text"),
        "embeddings": (frozenset({"embed"}), "make embeddings"),
        "rerank": (frozenset({"rerank"}), "rerank"),
    }
)

_PROOFS: Mapping[Purpose, EngineApi] = MappingProxyType(
    {"write": "completions", "embed": "embeddings", "rerank": "rerank"}
)

LACKING = "lacks"  # begins the reason of an engine that cannot do what a request asks


def lacking(needs: frozenset[Feature], lacks: frozenset[Feature]) -> str | None:
    """Why an engine cannot do it; None where it can."""
    missing = needs & lacks
    return f"{LACKING}: its engine has no {', '.join(sorted(missing))}" if missing else None


def can_do(api: EngineApi, model: frozenset[Capability]) -> bool:
    """Whether a model is of the kind that this asks. Of one that no machine has yet nothing is known."""
    return not model or not model.isdisjoint(_DOING[api][0])


def doing(api: EngineApi) -> str:
    return _DOING[api][1]


def proof_of_life(model: frozenset[Capability]) -> EngineApi:
    """In which the smallest request shows that an engine of such a model works."""
    return _PROOFS[purpose_of(model)]


Ability = Literal[Capability, "json_schema"]
"""What a list of models tells of one."""
_ASKED_BY: Mapping[Ability, Feature] = MappingProxyType(
    {
        "tools": "tools",
        "vision": "media",
        "json_schema": "response_format",
        "embed": "embeddings",
        "rerank": "rerank",
    }
)


def abilities(model: frozenset[Capability], engines: Sequence[frozenset[Feature]]) -> list[Ability]:
    """What a model can do on one of the engines that have it now, by what they lack; on none, what it could."""
    found: set[Ability] = {*model}
    if engines and "chat" in model:
        found.add("json_schema")
    return sorted(one for one in found if not engines or any(_ASKED_BY.get(one) not in lacks for lacks in engines))


def field_of(feature: Feature, api: Api) -> str:
    """The field that asks for it, as this dialect calls it."""
    if feature in _MODEL:
        return "model"
    return _FIELDS.get((api, feature), "messages" if feature == "media" else feature)
