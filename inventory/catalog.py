"""What a model is: its name and revision, its shape, and the artifact that holds its weights."""

import re
from dataclasses import dataclass, fields
from typing import Literal, NewType

from inventory.artifact_formats import ArtifactFormat as ArtifactFormat  # it is a part of what is told here

ModelName = NewType("ModelName", str)
ArtifactId = NewType("ArtifactId", str)  # sha256 of the artifact's manifest, hex
# A projector turns images into tokens, beside the model's own weights; settings are all else that a folder has to hold.
FileRole = Literal["weights", "projector", "settings"]
Capability = Literal["chat", "completion", "tools", "vision", "embed", "rerank"]
Purpose = Literal["write", "embed", "rerank"]
"""What an engine is started for. One that makes vectors or ranks does nothing else."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model as records name it: name@revision, plus the hashes of what was really served.

    `revision` is a hub commit, or the first 12 characters of the artifact id for a local file. An adapter (LoRA)
    is named the same way; None means the base model.
    """

    name: ModelName
    revision: str
    artifact_id: ArtifactId
    tokenizer_hash: str | None
    template_hash: str | None
    adapter: str | None = None

    def __str__(self) -> str:
        return f"{self.name}@{self.revision}"


@dataclass(frozen=True, slots=True)
class AttentionShape:
    """Attention of one model, per layer where it differs.

    `kv_heads` has one entry per layer (0 for a layer that keeps no keys and values of its own). Head sizes are
    elements, not bytes. `sliding_window` is in tokens; `sliding_layers` says which layers use it (empty: none), and
    those layers have head sizes of their own where the sliding sizes are set.
    `kv_lora_rank` and `rope_head_size` are set for MLA (multi-head latent attention) only: a token then costs
    key_head_size elements a layer, since the values are a part of the keys. An engine that unpacks them before it
    caches them (mlx-lm does so for deepseek_v2) keeps `heads` heads of the unpacked sizes instead.
    A model that is not causal (an encoder) keeps no cache between requests.
    """

    heads: int
    kv_heads: tuple[int, ...]
    key_head_size: int
    value_head_size: int
    sliding_window: int | None
    sliding_layers: tuple[bool, ...]
    kv_lora_rank: int | None
    rope_head_size: int | None
    sliding_key_head_size: int | None = None
    sliding_value_head_size: int | None = None
    causal: bool = True
    unpacked_key_head_size: int | None = None
    unpacked_value_head_size: int | None = None


@dataclass(frozen=True, slots=True)
class RecurrentShape:
    """State of recurrent (SSM, linear attention, short convolution) layers: bytes do not grow with context.

    One sequence costs, in each such layer, (conv_kernel - 1) * (inner_size + 2 * group_count * state_size) elements
    of convolution state and inner_size * state_size of recurrent state.
    """

    layers: tuple[bool, ...]
    state_size: int
    conv_kernel: int
    inner_size: int
    group_count: int


@dataclass(frozen=True, slots=True)
class ExpertShape:
    experts: int
    experts_used: int


@dataclass(frozen=True, slots=True)
class ModelShape:
    """The part of a ModelSpec that says how much memory a model needs: enough to plan with on another machine."""

    architecture: str
    layers: int
    embedding_size: int
    vocabulary_size: int | None
    context_length: int | None  # trained context, tokens
    attention: AttentionShape | None
    recurrent: RecurrentShape | None
    experts: ExpertShape | None
    quantisation: str  # "Q4_1", "BF16": the type that holds most weight bytes
    weight_bytes: int  # exact sum over tensors


@dataclass(frozen=True, slots=True)
class ModelSpec(ModelShape):
    """A model's shape, read from its own file headers and nothing else. None means the file does not say."""

    display_name: str | None
    parameters: int
    tied_embeddings: bool | None
    licence: str | None
    chat_template: str | None
    template_hash: str | None  # sha256 of the chat template, hex
    tokenizer_hash: str | None  # sha256 over the tokenizer's fields, hex
    capabilities: frozenset[Capability]


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file of an artifact. `path` is relative, with forward slashes, and never leaves the artifact."""

    path: str
    size_bytes: int
    sha256: str
    role: FileRole = "weights"


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model's files in one format, as the store holds them: weights first and in order.

    An engine opens the first file of GGUF, and the folder that holds all files of any other format.
    """

    artifact_id: ArtifactId
    format: ArtifactFormat
    source: str  # where it came from: "packaged:smollm2", "hf:org/repo@commit", "file:NAME"
    revision: str
    files: tuple[ArtifactFile, ...]
    spec: ModelSpec

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A name in the local model store and one artifact behind it. A name has at most one artifact of each format."""

    name: ModelName
    artifact: Artifact
    created_s: int  # wall time it entered the store


@dataclass(frozen=True, slots=True)
class HeldModel:
    """What the rest of the cluster needs to know about a model on one node's disk."""

    ref: ModelRef
    format: ArtifactFormat
    size_bytes: int
    created_s: int
    context_length: int | None
    capabilities: frozenset[Capability]
    source: str = ""  # as of Artifact
    shape: ModelShape | None = None  # None from a node of an older version
    licence: str | None = None  # as its files say; None where they do not


def shape_of(spec: ModelSpec) -> ModelShape:
    return ModelShape(**{field.name: getattr(spec, field.name) for field in fields(ModelShape)})


def purpose_of(model: frozenset[Capability]) -> Purpose:
    if model & {"chat", "completion"}:
        return "write"
    return "embed" if "embed" in model else "rerank" if "rerank" in model else "write"


def writing_capabilities(template: str | None, sees: bool) -> frozenset[Capability]:
    """Of a model that writes text: what its chat template allows, and whether it takes images."""
    found: set[Capability] = {"completion"}
    if template is not None:
        found.add("chat")
        if re.search(r"\btools\b", template):
            found.add("tools")
    if sees:
        found.add("vision")
    return frozenset(found)
