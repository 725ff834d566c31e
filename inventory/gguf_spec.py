"""GGUF headers -> ModelSpec: what the model is, from its own files and nothing else."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

from inventory.catalog import Capability, ExpertShape, ModelSpec, writing_capabilities
from inventory.gguf_attention import ENCODERS
from inventory.gguf_facts import GgufFacts
from inventory.gguf_header import GgufArray, GgufError, GgufHeader, GgufTensor, Value
from inventory.gguf_layers import attention_shape, recurrent_layers, recurrent_shape

SPEC_VERSION = 2  # raise it when a change here gives another answer for the same file: the store then reads again
MAX_LAYERS = 4_096
MAX_CONTEXT = 1 << 30
_POOLS_TO_VECTOR, _POOLS_TO_RANK = (1, 2, 3), 4  # mean, first, last token; a relevance score
_NOT_MODELS = {
    "adapter": "it is a LoRA adapter; import the model it belongs to",
    "mmproj": "it is a vision projector; import a directory that holds it together with its model",
    "clip-vision": "it is a vision projector; import a directory that holds it together with its model",
    "imatrix": "it is an importance matrix, not a model",
    "vocab": "it holds a vocabulary only",
}


def spec_of(parts: Sequence[GgufHeader], projector: GgufHeader | None = None) -> ModelSpec:
    """The shape of a model in one or more parts, in order. Raises GgufError where the parts do not add up."""
    first = parts[0]
    facts = GgufFacts(first, _architecture(first))
    tensors = _joined_tensors(parts)
    if projector is not None and not is_projector(projector):
        raise GgufError(projector.path, "it is not a vision projector")
    layers = facts.required("block_count", most=MAX_LAYERS)
    has_state, only_state = recurrent_layers((tensor.name for tensor in tensors), layers)
    template = facts.text("tokenizer.chat_template")
    return ModelSpec(
        architecture=facts.architecture,
        display_name=facts.text("general.name"),
        parameters=sum(tensor.elements for tensor in tensors),
        layers=layers,
        embedding_size=facts.required("embedding_length"),
        vocabulary_size=_vocabulary_size(facts),
        context_length=facts.shape_integer("context_length", 1, MAX_CONTEXT),
        attention=attention_shape(facts, layers, only_state),
        recurrent=recurrent_shape(facts, has_state),
        experts=_experts(facts),
        tied_embeddings=_tied(tensors),
        quantisation=_main_type(tensors),
        weight_bytes=sum(tensor.size_bytes for tensor in tensors),
        licence=facts.text("general.license"),
        chat_template=template,
        template_hash=None if template is None else hashlib.sha256(template.encode()).hexdigest(),
        tokenizer_hash=_tokenizer_hash(first),
        capabilities=_capabilities(facts, template, projector is not None),
    )


def is_projector(header: GgufHeader) -> bool:
    return header.metadata.get("general.architecture") == "clip"


def _architecture(header: GgufHeader) -> str:
    architecture = header.metadata.get("general.architecture")
    kind = "mmproj" if architecture == "clip" else header.metadata.get("general.type")
    if isinstance(kind, str) and kind in _NOT_MODELS:
        raise GgufError(header.path, _NOT_MODELS[kind])
    if not isinstance(architecture, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", architecture):
        raise GgufError(header.path, "general.architecture is missing or no proper name")
    return architecture


def _joined_tensors(parts: Sequence[GgufHeader]) -> list[GgufTensor]:
    """All parts' tensors, after checking that these are the parts of one model, complete and in order."""
    for index, part in enumerate(parts):
        facts = GgufFacts(part, "")
        count, number = facts.integer("split.count") or 1, facts.integer("split.no") or 0
        if count != len(parts):
            raise GgufError(part.path, f"it is one of {count} parts, but {len(parts)} were given")
        if number != index:
            raise GgufError(part.path, f"it is part {number + 1}, where part {index + 1} belongs")
    tensors = [tensor for part in parts for tensor in part.tensors]
    expected = GgufFacts(parts[0], "").integer("split.tensors.count")
    if len(parts) > 1 and expected is not None and expected != len(tensors):
        raise GgufError(parts[0].path, f"the parts hold {len(tensors)} tensors, but it announces {expected}")
    if not tensors:
        raise GgufError(parts[0].path, "it holds no tensors")
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise GgufError(parts[0].path, "two of its parts hold the same tensor")
    return tensors


def _vocabulary_size(facts: GgufFacts) -> int | None:
    tokens = facts.length("tokenizer.ggml.tokens")
    return tokens if tokens is not None else facts.shape_integer("vocab_size", 1)


def _experts(facts: GgufFacts) -> ExpertShape | None:
    experts = facts.shape_integer("expert_count")
    if not experts:
        return None
    used = facts.shape_integer("expert_used_count", 0, experts)
    if used is None:
        raise facts.error(f"{facts.architecture}.expert_used_count is missing")
    return ExpertShape(experts, used)


def _tied(tensors: Sequence[GgufTensor]) -> bool | None:
    names = {tensor.name for tensor in tensors}
    return "output.weight" not in names if "token_embd.weight" in names else None


def _main_type(tensors: Sequence[GgufTensor]) -> str:
    held = Counter[str]()
    for tensor in tensors:
        held[tensor.type_name] += tensor.size_bytes
    return max(held, key=lambda name: (held[name], name))


def _tokenizer_hash(header: GgufHeader) -> str | None:
    """Equal for files that split text into the same tokens; the chat template has a hash of its own."""
    digest = hashlib.sha256()
    keys = sorted(key for key in header.metadata if key.startswith("tokenizer.") and "chat_template" not in key)
    for key in keys:
        digest.update(f"{key}={_canonical(header.metadata[key])}\n".encode())
    return digest.hexdigest() if keys else None


def _canonical(value: Value) -> str:
    return f"{value.element}[{value.length}]{value.sha256}" if isinstance(value, GgufArray) else repr(value)


def _capabilities(facts: GgufFacts, template: str | None, sees: bool) -> frozenset[Capability]:
    pooling = facts.shape_integer("pooling_type")
    if pooling == _POOLS_TO_RANK:
        return frozenset({"rerank"})
    if pooling in _POOLS_TO_VECTOR or facts.architecture in ENCODERS:
        return frozenset({"embed"})
    return writing_capabilities(template, sees)
