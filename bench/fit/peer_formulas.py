"""What four other projects would expect the same cell to take, re-derived from what they document. Pure.

Each is the figure by which that project decides whether a model fits: GPUStack 2.2 (2026-08), exo 1.0 (2026-06), Ollama
0.3x (2026-08), LocalAI 4.9 (2026-08). `engines` says which engine kinds a project runs at all: elsewhere its figure is
shown, because the row is there, and is not held against it in the summary.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bench.fit.cells import Cell
from inventory.catalog import ModelShape
from nodes.snapshot import EngineKind

GIB = 1 << 30
F16_BYTES = 2
LOCALAI_FIXED_BYTES = 150_000_000
LOCALAI_BYTES_PER_TOKEN = 2048


@dataclass(frozen=True, slots=True)
class PeerView:
    """What a peer looks at: the size on disk, the model's header, and the tokens of all requests together."""

    cell: Cell
    shape: ModelShape
    artifact_bytes: int

    @property
    def tokens(self) -> int:
        return self.cell.context_tokens * self.cell.slots


@dataclass(frozen=True, slots=True)
class Peer:
    """`predict` gives None where the project leaves the question to another program."""

    name: str
    engines: frozenset[EngineKind]
    predict: Callable[[PeerView], int | None]


def gpustack(view: PeerView) -> int | None:
    """A fifth on top of the weights, and 2 GiB. GGUF it hands to gguf-parser, which reads the whole header."""
    return None if view.cell.kind == "llamacpp" else int(view.artifact_bytes * 1.2) + 2 * GIB


def exo(view: PeerView) -> int:
    """The files have to fit. Nothing else is counted."""
    return view.artifact_bytes


def ollama(view: PeerView) -> int:
    """The file, and a cache for every layer: as many heads as the layer that has fewest, each as wide as the model
    divided by its heads of queries."""
    attention = view.shape.attention
    if attention is None or not attention.kv_heads:
        return view.artifact_bytes
    head_size = view.shape.embedding_size // attention.heads
    per_token = 2 * view.shape.layers * min(attention.kv_heads) * head_size * F16_BYTES
    return view.artifact_bytes + per_token * view.tokens


def localai(view: PeerView) -> int:
    """GGUF: the file and 4 % of it, a fixed part, and a cache without its layers: the model's whole width for each head
    of keys and values. Anything else: the files and 2 KiB a token."""
    if view.cell.kind != "llamacpp":
        return view.artifact_bytes + LOCALAI_BYTES_PER_TOKEN * view.tokens
    attention = view.shape.attention
    heads = max(attention.kv_heads, default=0) if attention is not None else 0
    per_token = F16_BYTES * view.shape.embedding_size * (heads or view.shape.layers)
    return int(view.artifact_bytes * 1.04) + LOCALAI_FIXED_BYTES + per_token * view.tokens


PEERS: tuple[Peer, ...] = (
    Peer("GPUStack", frozenset({"llamacpp", "vllm"}), gpustack),
    Peer("exo", frozenset({"mlx"}), exo),
    Peer("Ollama", frozenset({"llamacpp", "mlx"}), ollama),
    Peer("LocalAI", frozenset({"llamacpp", "vllm", "mlx"}), localai),
)
